//! The generated units under a real systemd, which is process 1 of each host.

use unheck_deploy::Wanted;
use unheck_testkit::hosts::Load;

use crate::switch::World;

#[test]
#[ignore = "live: systemd and sshd in namespaces, needs root"]
fn the_generated_units_lose_no_request_over_twenty_switches() {
    let world = World::booted(2);
    let one = world.deploy("1");
    world.release(Wanted::Newest);
    world.check("1");
    let two = world.deploy("2");
    let addresses = world.hosts.hosts.iter().map(|host| host.address);
    let load: Vec<Load> = addresses.map(Load::new).collect();
    let mut times = Vec::new();
    for round in 0..20 {
        let report = match round % 4 {
            0 => world.release(Wanted::Named(&two)),
            1 => world.release(Wanted::Previous),
            2 => world.release(Wanted::Newest),
            _ => world.release(Wanted::Back(&one)),
        };
        world.check(if report.release == one { "1" } else { "2" });
        times.extend(report.hosts.iter().map(|host| host.switch_ms));
    }
    times.sort_unstable();
    println!(
        "{} switches by systemd: median {} ms, slowest {:?} ms",
        times.len(),
        times[times.len() / 2],
        times.last()
    );
    for load in load {
        let (asked, lost, longest) = load.end();
        println!("{asked} requests, {} lost, slowest {longest:?}", lost.len());
        assert!(
            asked > 200 && lost.is_empty(),
            "{asked} asked, lost {lost:?}"
        );
    }
    // As systemd sees it: no crash, and the socket was never let go.
    world.hosts.everywhere(
        "test \"$(systemctl show -p NRestarts --value web.service)\" = 0 && \
         systemctl is-active web.service web.socket && ! systemctl --failed --plain | grep -q '^web'",
        b"",
    );
}

#[test]
#[ignore = "live: systemd and sshd in namespaces, needs root"]
fn a_release_that_systemd_cannot_start_or_that_is_ill_is_undone() {
    let mut world = World::booted(1);
    world.deploy("1");
    world.release(Wanted::Newest);
    world.release_an_ill_one();
    world.check("1");
}
