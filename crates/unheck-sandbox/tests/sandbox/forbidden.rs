//! Machines that refuse: each cause forced on this one and told apart. Needs root.

use std::path::Path;
use std::process::Command;

use crate::kit::{Test, install, open_to_all, root};

pub(crate) const TESTS: &[Test] = &[
    ("chroot_is_named", chroot_is_named),
    ("namespace_limit_is_named", namespace_limit_is_named),
    ("seccomp_is_named", seccomp_is_named),
    ("lost_capabilities_are_named", lost_capabilities_are_named),
    (
        "root_climbs_to_sys_admin_where_user_namespaces_are_refused",
        root_climbs_to_sys_admin,
    ),
    (
        "walls_alone_stand_where_namespaces_are_refused",
        walls_alone_stand,
    ),
    ("masked_proc_is_bound", masked_proc_is_bound),
    ("layers_on_overlays_are_fine", layers_on_overlays_are_fine),
];

/// Standard output of a shell script with `$EXE` and `$ROOT`.
fn script(text: &str) -> String {
    let output = Command::new("sh")
        .args(["-ec", text])
        .env("EXE", std::env::current_exe().unwrap())
        .env("ROOT", root())
        .output()
        .unwrap();
    let said = rung_first(&String::from_utf8_lossy(&output.stdout));
    format!("{said}{}", String::from_utf8_lossy(&output.stderr))
}

/// The lines about rungs before all others: they come from outside of the sandbox, so they can
/// stand anywhere between those from inside.
pub(crate) fn rung_first(text: &str) -> String {
    let (rungs, others): (Vec<&str>, Vec<&str>) = text
        .split_inclusive('\n')
        .partition(|line| line.starts_with("rung "));
    rungs.concat() + &others.concat()
}

const DROP: &str = "setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all";
const NOBODY: &str = "setpriv --reuid 65534 --regid 65534 --clear-groups";

fn chroot_is_named() {
    let text = "unshare -m sh -ec 'mkdir -p $ROOT/../chroot-$$; D=$ROOT/../chroot-$$; mkdir -p $D/in/proc; cp -a $ROOT/. $D/in; \
        mount --rbind /proc $D/in/proc; exec chroot --userspec=USER $D/in /bin/inside here probe'";
    let nobody = script(&text.replace("USER", "65534:65534"));
    assert_eq!(
        nobody,
        "no sandbox is possible here (rung: user namespace): `clone` into new namespaces failed: \
         Operation not permitted (os error 1): the process is chrooted\n\
         hint: run it outside the chroot, or enter that root with pivot_root (unshare --mount) instead of chroot\n"
    );
    let as_root = script(&text.replace("USER", "0:0"));
    assert_eq!(
        as_root,
        "no sandbox is possible here (rung: CAP_SYS_ADMIN without user namespace): making all mounts private failed: \
         Invalid argument (os error 22): the process is chrooted\n\
         hint: run it outside the chroot, or enter that root with pivot_root (unshare --mount) instead of chroot\n"
    );
    script("rm -rf $ROOT/../chroot-*");
}

fn namespace_limit_is_named() {
    let text = "unshare -Ur sh -ec 'echo 0 > /proc/sys/user/max_user_namespaces; exec WRAP $EXE here probe'";
    assert_eq!(
        script(&text.replace("WRAP", DROP)),
        "no sandbox is possible here (rung: user namespace): `clone` into new namespaces failed: \
         No space left on device (os error 28): the limit of namespaces is 0 or reached\n\
         hint: raise user.max_user_namespaces with sysctl (15000 is usual)\n"
    );
    assert_eq!(
        script(&text.replace("WRAP", "")),
        "sys-admin\n",
        "root of that namespace needs no further one"
    );
}

fn seccomp_is_named() {
    let wanted = "no sandbox is possible here (rung: user namespace): `clone` into new namespaces failed: \
         Operation not permitted (os error 1): a seccomp filter forbids it, as container runtimes do by default\n\
         hint: start the container with a seccomp profile that allows unshare and mount \
         (--security-opt seccomp=unconfined), or use podman, whose profile does\n";
    assert_eq!(
        script(&format!("{NOBODY} $EXE here refuse namespaces probe")),
        wanted
    );
    let root = script("$EXE here refuse namespaces probe");
    assert_eq!(
        root,
        wanted.replace("user namespace)", "CAP_SYS_ADMIN without user namespace)")
    );
}

fn lost_capabilities_are_named() {
    assert_eq!(
        script(&format!("{DROP} $EXE here probe")),
        "no sandbox is possible here (rung: user namespace): writing `uid_map` failed: Operation not permitted (os error 1): \
         the user cannot be mapped: user 0 has lost the capability CAP_SETFCAP\n\
         hint: run it as an ordinary user, or add the capability CAP_SETFCAP (--cap-add=SETFCAP)\n"
    );
    assert_eq!(
        script(&format!("{NOBODY} {DROP} $EXE here probe")),
        "user-namespace\n",
        "an ordinary user needs none"
    );
}

fn root_climbs_to_sys_admin() {
    let text = script("$EXE here refuse users run $ROOT facts");
    assert!(
        text.starts_with("rung sys-admin\n") && text.contains("uid 65532 gid 65532"),
        "{text}"
    );
    assert!(
        text.contains("CapEff: 0000000000000000\nCapBnd: 0000000000000000"),
        "{text}"
    );
    assert!(text.contains("net [\"lo\"]\nprocesses [1, 2]"), "{text}");
    let text = script("$EXE here refuse users run $ROOT write /proc/sys/kernel/core_pattern");
    assert!(
        text.contains("EACCES\n") || text.contains("EROFS\n"),
        "{text}"
    );
    let text = script("$EXE here refuse users watch yes $ROOT /bin/cat /no/x");
    assert!(
        text.contains("{ path: \"/no/x\", kind: Open, by: \"cat\""),
        "{text}"
    );
    let root = script("$EXE here refuse users run-as-0 $ROOT exit 0 || true");
    assert!(
        root.starts_with("user 0 inside needs a user namespace"),
        "{root}"
    );
}

fn walls_alone_stand() {
    if !crate::walled::is_possible() {
        return;
    }
    let walled = "$EXE here walled /bin/sh -c 'echo it runs; read line < /etc/passwd || echo and reads nothing else'";
    let limit = "unshare -Ur sh -ec 'echo 0 > /proc/sys/user/max_user_namespaces; exec WRAP sh -c \"$WALLED\"'";
    let said = "rung landlock\nit runs\nand reads nothing else\n";
    for wrap in [DROP, ""] {
        let text = format!(
            "export WALLED; WALLED=$(cat <<'END'\n{walled}\nEND\n); {}",
            limit.replace("WRAP", wrap)
        );
        assert_eq!(script(&text), said);
    }
    let filtered = script(&format!(
        "{NOBODY} $EXE here refuse namespaces walled /bin/sh -c 'echo it runs'"
    ));
    assert_eq!(filtered, "rung landlock\nit runs\n");
}

fn masked_proc_is_bound() {
    // Every one, should this machine have more: one whole is enough for the kernel to allow a new one.
    let masked = "unshare -m sh -ec 'cut -d\" \" -f2,3 /proc/mounts | while read -r at kind; do \
        if [ $kind = proc ]; then mount --bind /dev/null $at/version; fi; done; exec $EXE here ACTION'";
    let text = script(&masked.replace("ACTION", "run $ROOT stat /proc/1"));
    assert!(
        text.starts_with("rung user-namespace+bound-proc\n") && text.contains("Exited(0)"),
        "{text}"
    );
    let watched = "watch yes $ROOT /bin/sh -c \"cd /etc; cat no/such; /no/such2\"";
    let text = script(&masked.replace("ACTION", watched));
    for wanted in [
        "Missing { path: \"/etc/no/such\", kind: Open, by: \"cat\", count: 1 }",
        "Missing { path: \"/no/such2\", kind: Exec, by: \"sh\", count: 1 }",
    ] {
        assert!(text.contains(wanted), "{text}");
    }
}

/// Linux allows an overlay on an overlay, but no third.
fn layers_on_overlays_are_fine() {
    let text = "unshare -m sh -ec 'D=$(mktemp -d); chmod 755 $D; mount -t tmpfs none $D; mkdir $D/a $D/b $D/c; \
        mount -t overlay none $D/b -o lowerdir=$D/a:$ROOT; \
        mount -t overlay none $D/c -o lowerdir=$D/a:$D/b; exec $EXE here run $D/LAYER mounts'";
    let rest =
        "ro\nmarker root\nnames bin dev etc lib lib64 proc run tmp var\nwrite EROFS\ntmp ok\n";
    for (layer, kind) in [("b", "overlay"), ("c", "tmpfs")] {
        let got = script(&text.replace("LAYER", layer));
        assert!(
            got.contains(&format!("root {kind} {rest}")),
            "{layer}: {got}"
        );
    }
}

/// All other tests again, as nobody.
pub(crate) fn as_ordinary_user() {
    let dir = tempfile::tempdir().unwrap();
    open_to_all(dir.path());
    let exe = dir.path().join("sandbox-tests");
    let libraries = tempfile::tempdir().unwrap();
    install(&std::env::current_exe().unwrap(), &exe, libraries.path());
    let temporary = dir.path().join("tmp");
    fs_err::create_dir(&temporary).unwrap();
    fs_err::set_permissions(
        &temporary,
        std::os::unix::fs::PermissionsExt::from_mode(0o1777),
    )
    .unwrap();
    let mut words = NOBODY.split(' ');
    let output = Command::new(words.next().unwrap())
        .args(words)
        .arg(&exe)
        .arg("--test-threads=2")
        .current_dir(Path::new("/"))
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
}
