//! The generated units under a real systemd, which is process 1 of each host.

use unheck_deploy::Wanted;
use unheck_testkit::hosts::twenty_switches;

use crate::switch::World;

#[test]
#[ignore = "live: systemd and sshd in namespaces, needs root"]
fn the_generated_units_lose_no_request_over_twenty_switches() {
    let world = World::booted(2);
    let one = world.deploy("1");
    world.release(Wanted::Newest);
    world.check("1");
    let two = world.deploy("2");
    twenty_switches(&world.hosts.hosts, |round| {
        let wanted = match round % 4 {
            0 => Wanted::Named(&two),
            1 => Wanted::Previous,
            2 => Wanted::Newest,
            _ => Wanted::Back(&one),
        };
        world.switch_times(wanted, &one)
    });
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
