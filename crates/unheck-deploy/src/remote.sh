# The far side of unheck's deployments: POSIX shell, coreutils, find, gzip, tar.
#
# It is evaluated by `sh`, so that its standard input is free: verbs, each on a line, each followed by
# its arguments on lines of their own. No value is ever a part of the program's text. An answer is any
# number of lines `-DATA`, then one line `+` (done) or `!CODE TEXT` (not done, and why). Verbs may come before
# the one in front of them is answered; `and` says of one that it hangs on that answer.
#
# It travels without comments and indentation, so no text goes on in an indented line.
#
# Every step can be the last: whatever is half done stands under `incoming`, `staging` or `undo`, and
# `repair` brings it to an end. What serves is changed by one rename of a link, in `point`.

set -u
umask 022
LC_ALL=C
export LC_ALL
unset CDPATH
trap '' PIPE
tab=$(printf '\t')
dir='' mine='' reload='' unconfirmed='' refused='' why=''

data() { printf -- '-%s\n' "$1"; }
yes() {
    refused=''
    printf '+\n'
}
no() {
    refused=yes
    printf '!%s %s\n' "$1" "$(printf '%s' "$2" | tr '\000-\037\177' ' ' | cut -c 1-2000)"
}

# and SIZE, then a verb with all that belongs to it, so many bytes: where the last answer was a refusal it is passed
# over, and not answered.
verb_and() {
    IFS= read -r size || return
    # A session that cannot pass over it would carry it out.
    [ -z "$refused" ] || dd bs=1 count="$size" >/dev/null 2>&1 || exit
}

# try COMMAND...: quiet when it works; else says it and its last words in $why.
try() {
    why=$("$@" 2>&1 </dev/null) && return 0
    why="$* failed: $why"
    return 1
}

# flush: what was written so far survives a power cut.
flush() { sync -f . 2>/dev/null </dev/null || sync </dev/null; }

# started PID: when the kernel started it (proc(5), field 22 of stat), or nothing.
started() {
    stat=''
    { IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null
    stat=${stat##*) }
    # Fields are to be split.
    # shellcheck disable=SC2086
    set -- $stat
    [ $# -lt 20 ] || printf '%s' "${20}"
}

# alive PID START: whether the process that took a lock is still there.
alive() {
    case $1 in '' | *[!0-9]*) return 1 ;; esac
    now=$(started "$1")
    [ -z "$now" ] || { [ "$now" = "$2" ]; return; }
    case $(kill -0 "$1" 2>&1) in *ermitted*) return 0 ;; esac
    return 1
}

verb_hello() {
    missing=''
    for tool in cat chmod cp cut find gzip ln ls mkdir mv readlink rm rmdir sha256sum sleep sort sync \
        tail tar timeout tr uname uniq wc; do
        command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
    done
    [ -z "$missing" ] || { no tools "${missing# }"; return; }
    data "machine $(uname -m)"
    data "from ${SSH_CONNECTION:-local }"
    yes
}

# open DIRECTORY MAKE: the directory of releases, made where MAKE is `yes`.
verb_open() {
    IFS= read -r dir || return
    IFS= read -r make || return
    layout=''
    case $dir in "~/"*) dir=${HOME:-}/${dir#"~/"} ;; esac
    case $dir in /*) ;; *) no layout "$dir is not absolute"; return ;; esac
    { IFS= read -r layout <"$dir/.unheck"; } 2>/dev/null
    if [ -z "$layout" ]; then
        [ "$make" = yes ] || { no absent "$dir holds no releases"; return; }
        try mkdir -p -- "$dir" || { no io "$why"; return; }
        for name in "$dir"/* "$dir"/.[!.]* "$dir"/..?*; do
            case $name in "$dir/.unheck"*) continue ;; esac
            if [ -e "$name" ] || [ -L "$name" ]; then
                # Another session may have made it, after it had written its mark.
                { IFS= read -r layout <"$dir/.unheck"; } 2>/dev/null
                [ "$layout" = 'unheck-deploy 1' ] || { no stranger "$name"; return; }
                break
            fi
        done
        { printf 'unheck-deploy 1\n' >"$dir/.unheck.$$"; } 2>/dev/null &&
            try mv -f "$dir/.unheck.$$" "$dir/.unheck" || { no io "cannot write $dir/.unheck $why"; return; }
    elif [ "$layout" != 'unheck-deploy 1' ]; then
        no layout "$dir/.unheck says $layout"
        return
    fi
    cd -P -- "$dir" 2>/dev/null || { no io "cannot enter $dir"; return; }
    dir=$(pwd -P)
    if [ "$make" = yes ] && [ ! -d incoming ]; then
        # A rename that does not follow links is what every switch hangs on.
        try mkdir -p blobs lists releases meta staging &&
            try ln -s one ".probe.$$" && try ln -s two ".probe.$$.two" &&
            try mv -T ".probe.$$.two" ".probe.$$" && try rm -f ".probe.$$" &&
            try mkdir -p incoming || { no io "$why"; return; }
    fi
    yes
}

# lock OWNER STEAL: from here on nobody else changes anything. The lock is a link, because making one
# is atomic, its text included: PID:START:OWNER.
verb_lock() {
    IFS= read -r owner || return
    IFS= read -r steal || return
    wanted="$$:$(started $$):$owner"
    tries=0
    while [ "$tries" -lt 20 ]; do
        tries=$((tries + 1))
        if why=$(ln -s -- "$wanted" lock 2>&1 </dev/null); then
            mine=$wanted
            data "$$:$(started $$):"
            yes
            return
        fi
        held=$(readlink lock 2>/dev/null </dev/null) || { sleep 0.1 2>/dev/null || sleep 1; continue; }
        pid=${held%%:*} rest=${held#*:}
        start=${rest%%:*} who=${rest#*:}
        if alive "$pid" "$start"; then
            [ "$steal" = yes ] || { no locked "$who"; return; }
            # It undoes what it has not confirmed, and goes.
            if [ "$tries" -lt 10 ]; then kill -TERM "$pid" 2>/dev/null; else kill -KILL "$pid" 2>/dev/null; fi
            sleep 0.3 2>/dev/null </dev/null || sleep 1
            continue
        fi
        # Its owner is gone, unless it went in the ordinary way and another has the lock by now.
        [ "$(readlink lock 2>/dev/null </dev/null)" = "$held" ] || continue
        # Two may come here at once; who took away another's new lock puts it back.
        mv -T lock "lock.$$" 2>/dev/null </dev/null || continue
        if [ "$(readlink "lock.$$")" = "$held" ]; then
            rm -f "lock.$$"
        else
            mv -n -T "lock.$$" lock 2>/dev/null </dev/null
        fi
    done
    no io "$why"
}

# held TEXT: whether the lock begins so. Who takes it by mistake puts it back at once.
held() {
    for again in 1 2 3; do
        case $(readlink lock 2>/dev/null </dev/null) in "$1"*) return 0 ;; esac
        sleep 0.1 2>/dev/null </dev/null || sleep 1
    done
    no lost 'the lock is no longer ours'
    return 1
}

locked() { held "${mine:-none}"; }

verb_reload() { IFS= read -r reload && yes; }

# run SECONDS COMMAND [PLACE]: what is configured. Its output goes to a file, because a daemon that it
# leaves behind would keep a pipe open.
run() {
    (trap - PIPE && cd -- "${3:-.}" && exec timeout "$1" sh -c "$2" >"$dir/.said" 2>&1 </dev/null)
    code=$?
    why=$(tail -n 20 .said 2>/dev/null </dev/null)
    rm -f .said
    [ "$code" -ne 0 ] || return 0
    [ "$code" -ne 124 ] || why="it took more than $1 s. $why"
    why="exit code $code. $why"
    return 1
}

# names LINK: what it names, in $at; `none` when it is not there, which a failing tool is not.
names() {
    at=none
    [ -L "$1" ] || return 0
    at=$(readlink "$1" 2>/dev/null </dev/null) && [ -n "$at" ] && return 0
    why="cannot read the link $1"
    return 1
}

# point LINK TARGET: the one step that others see.
point() {
    try ln -s -- "$2" ".to.$$" && try mv -T ".to.$$" "$1" && return 0
    # The first words matter more than those of cleaning up.
    rm -f ".to.$$"
    return 1
}

# go_back: what served before an unconfirmed switch serves again.
go_back() {
    [ -L undo ] || { unconfirmed=''; return 0; }
    names undo || return 1
    old=$at
    if [ "$old" = none ]; then
        try rm -f current || return 1
    else
        point current "$old" || return 1
    fi
    result=0
    if [ -n "$reload" ] && ! run 120 "$reload"; then
        why="the reload command on the way back: $why"
        result=1
    fi
    # Otherwise the next call would reload again, which helps if the first time did not.
    [ "$result" -ne 0 ] || try rm -f undo || return 1
    unconfirmed=''
    return "$result"
}

audit() { { printf '%s\n' "$1" >>audit.log; } 2>/dev/null || { why="cannot write $dir/audit.log"; return 1; }; }

# repair UNDONE: ends what an earlier session left half done; UNDONE is for the audit log.
verb_repair() {
    IFS= read -r undone || return
    locked || return
    rm -f .to.* lock.*[0-9]
    if [ -L undo ]; then
        names undo || { no io "$why"; return; }
        old=$at
        go_back || { no undo "$why"; return; }
        audit "$undone" || { no io "$why"; return; }
        data "undone ${old#releases/}"
    fi
    clear staging || { no io "$why"; return; }
    for place in meta/*; do
        [ ! -e "$place" ] || [ -d "releases/${place#meta/}" ] || rm -rf -- "$place"
    done
    adopt || { no io "$why"; return; }
    yes
}

# clear DIRECTORY: empties it, read-only directories included.
clear() {
    for name in "$1"/* "$1"/.[!.]*; do
        [ -e "$name" ] || [ -L "$name" ] || continue
        try find "$1" -type d -exec chmod u+w {} + && try rm -rf -- "$1"/* "$1"/.[!.]*
        return
    done
}

# adopt: takes what arrived whole among the blobs, and removes what did not. A blob is named by its
# SHA-256, with `.x` where it may be executed.
adopt() {
    some=0
    for name in incoming/*/*/*; do [ ! -f "$name" ] || some=$((some + 1)); done
    if [ "$some" -gt 0 ]; then
        flush
        # No file is written: this is what makes room on a full disk.
        some=$(find incoming -type f -exec sha256sum {} + 2>/dev/null </dev/null | {
            while read -r sum path; do
                name=${path##*/}
                if [ "$sum" = "${name%.x}" ] || rm -f -- "$path"; then some=$((some - 1)); fi
            done
            printf '%s' "$some"
        })
        # Whatever was not looked at is not taken.
        [ "$some" = 0 ] || { why='cannot check what arrived'; return 1; }
    fi
    for place in incoming/*/*; do
        set -- "$place"/*
        [ -e "$1" ] || continue
        case ${place##*/} in lists) to=lists ;; *) to=blobs/${place##*/} ;; esac
        [ -d "$to" ] || try mkdir -p -- "$to" || return 1
        try mv -f -- "$@" "$to/" || return 1
    done
    clear incoming
}

# state HISTORY: what is here, and the last lines of the audit log.
verb_state() {
    IFS= read -r history || return
    for link in current previous undo; do
        at=$(readlink "$link" 2>/dev/null </dev/null) && data "$link ${at#releases/}"
    done
    held=$(readlink lock 2>/dev/null </dev/null) && pid=${held%%:*} && rest=${held#*:} &&
        alive "$pid" "${rest%%:*}" && [ "$held" != "$mine" ] && data "locked ${rest#*:}"
    for place in releases/*; do
        [ -d "$place" ] || continue
        info=''
        { IFS= read -r info <"meta/${place#releases/}/info"; } 2>/dev/null
        data "release ${place#releases/} $info"
    done
    if [ "$history" -gt 0 ] && [ -f audit.log ]; then
        tail -n "$history" audit.log | while IFS= read -r line; do data "audit $line"; done
    fi
    yes
}

# listed NAME: where a list is, in $at: here, or among what came and is not adopted yet.
listed() {
    for at in "lists/$1" incoming/*/lists/"$1"; do [ ! -f "$at" ] || return 0; done
    return 1
}

# lack TREE: the parts of a list that are not here.
verb_lack() {
    IFS= read -r tree || return
    listed "$tree" || { no absent "lists/$tree"; return; }
    while IFS=' ' read -r bucket name; do [ -f "lists/$name" ] || data "$name"; done <"$at"
    yes
}

# only A B: the lines of A that B does not have; no file has a line twice.
only() { sort -- "$1" "$2" "$2" | uniq -u; }

# differ BASE TREE: the lines that only one of two lists has, `-` those of the base and `+` those of the other.
# Parts that both have are not looked at.
verb_differ() {
    IFS= read -r base || return
    IFS= read -r tree || return
    locked || return
    clear staging || { no io "$why"; return; }
    base=meta/$base/tree
    [ -f "$base" ] && listed "$tree" || { no absent "$base or lists/$tree"; return; }
    tree=$at
    only "$base" "$tree" >staging/old.parts
    only "$tree" "$base" >staging/new.parts
    lost=''
    for side in old new; do
        while IFS=' ' read -r bucket name; do
            listed "$name" && cat "$at" </dev/null || lost=$name
        done <"staging/$side.parts" >"staging/$side"
    done 2>/dev/null
    if [ -n "$lost" ]; then
        no absent "lists/$lost"
    else
        only staging/old staging/new | while IFS= read -r line; do data "-$line"; done
        only staging/new staging/old | while IFS= read -r line; do data "+$line"; done
        yes
    fi
    clear staging
}

# have NAME... and an empty line: those that are not here.
verb_have() {
    while IFS= read -r name && [ -n "$name" ]; do
        case $name in
        lists/*) [ -f "$name" ] || data "$name" ;;
        *) [ -f "blobs/${name%"${name#??}"}/$name" ] || data "$name" ;;
        esac
    done
    yes
}

# unpack PLACE SIZE: a compressed archive: so many bytes of standard input, or `all`. Where that does not work the
# session is over: what was not read is no verb.
unpack() {
    if [ "$2" = all ]; then
        why=$({ gzip -dc | tar -xof - -C "$1"; } 2>&1) && return 0
    else
        # Nothing but `dd` with blocks of one byte reads exactly so many from a pipe.
        why=$({ dd bs=1 count="$2" >staging/archive; } 2>&1) && [ "$(wc -c <staging/archive)" -eq "$2" ] &&
            why=$({ gzip -dc <staging/archive | tar -xof - -C "$1"; } 2>&1) && try rm -f staging/archive && return 0
    fi
    no io "cannot unpack what was sent: $why"
    exit
}

# receive TOKEN SIZE and an archive of blobs: TOKEN is how the lock of the session that sends us begins.
verb_receive() {
    IFS= read -r token || return
    IFS= read -r size || return
    held "${token:-none}" || exit
    place=incoming/new.$$
    try mkdir -p -- "$place" || { no io "$why"; exit; }
    unpack "$place" "$size"
    yes
}

# blob NAME: where it is.
blob() { printf 'blobs/%s/%s' "${1%"${1#??}"}" "$1"; }

# blocks NAME: how the SHA-256 of each 4096 bytes of a blob begins. None where that cannot be told: it is
# for sending less.
verb_blocks() {
    IFS= read -r of || return
    locked || return
    clear staging || { no io "$why"; return; }
    if split -a 4 -b 4096 "$(blob "$of")" staging/block. 2>/dev/null </dev/null; then
        sha256sum staging/block.* 2>/dev/null </dev/null | cut -c 1-16 |
            while IFS= read -r sum; do data "$sum"; done
    fi
    clear staging || { no io "$why"; return; }
    yes
}

# assemble NAME OLD PART... and an empty line: a blob of blocks of another (`o FIRST COUNT`) and of what came
# (`n NUMBER`).
verb_assemble() {
    IFS= read -r name || return
    IFS= read -r old || return
    old=$(blob "$old")
    made=incoming/made.$$/${name%"${name#??}"}
    into=$made/$name
    try mkdir -p -- "$made" && why=$({ : >"$into"; } 2>&1) || into=/dev/null
    # All parts are read, also when it does not work.
    why=$why$(
        bad=0
        while IFS=' ' read -r what from count && [ -n "$what" ]; do
            case $what in
            o) dd if="$old" bs=4096 skip="$from" count="$count" </dev/null || bad=1 ;;
            *) cat incoming/*/delta/"$name.$from" </dev/null || bad=1 ;;
            esac
        done 2>&1 >"$into"
        exit "$bad"
    ) || { no io "cannot assemble $name: $why"; return; }
    [ "$into" != /dev/null ] || { no io "$why"; return; }
    locked || return
    rm -f incoming/*/delta/"$name".*
    sum=$(sha256sum "$into" 2>/dev/null </dev/null)
    if [ "${sum%% *}" != "$name" ]; then
        rm -f "$into"
        no differs "$old"
        return
    fi
    try chmod 444 "$into" || { no io "$why"; return; }
    yes
}

verb_adopt() {
    locked || return
    adopt || { no io "$why"; return; }
    yes
}

# stage ID BASE GONE: a tree that is BASE without the paths in the list GONE.
verb_stage() {
    IFS= read -r id || return
    IFS= read -r base || return
    IFS= read -r gone || return
    locked || return
    clear staging || { no io "$why"; return; }
    if [ "$base" = none ]; then
        try mkdir -- "staging/$id" || { no io "$why"; return; }
    else
        try cp -al -- "releases/$base" "staging/$id" &&
            try find "staging/$id" -type d -exec chmod u+w {} + || { no io "$why"; return; }
    fi
    if [ "$gone" != none ]; then
        [ -f "lists/$gone" ] || { no absent "lists/$gone"; return; }
        while IFS= read -r path; do
            try rm -f -- "staging/$id/$path" || { no io "$why"; return; }
        done <"lists/$gone"
    fi
    yes
}

# links TOKEN SIZE and an archive of what the staged tree lacks: links to blobs.
verb_links() {
    IFS= read -r token || return
    IFS= read -r size || return
    held "${token:-none}" || exit
    unpack . "$size"
    yes
}

# smoke ID PROGRAM COMMAND: the staged interpreter starts, and what is configured ends well.
verb_smoke() {
    IFS= read -r id || return
    IFS= read -r program || return
    IFS= read -r command || return
    locked || return
    if [ -n "$program" ]; then
        why=$(cd -- "staging/$id" && timeout 60 "./$program" -c pass 2>&1 </dev/null) ||
            { no smoke "$program: $why"; return; }
    fi
    [ -z "$command" ] || run 120 "$command" "staging/$id" || { no smoke "$command: $why"; return; }
    yes
}

# compare TREE PLACE: holds every path of a tree against its lists; prints what differs.
compare() {
    while IFS=' ' read -r bucket name; do cat -- "lists/$name" || printf 'f none\t%s\n' "$bucket"; done \
        <"$1" >staging/all 2>/dev/null
    while IFS=$tab read -r what path; do
        case $what in
        'f '*) printf '%s  ./%s\n' "${what#f }" "$path" >&3 ;;
        'x '*) printf '%s  ./%s\n' "${what#x }" "$path" >&3 && printf './%s\n' "$path" >&4 ;;
        'l '*) printf '%s\t./%s\n' "${what#l }" "$path" >&5 ;;
        esac
    done <staging/all 3>staging/want.f 4>staging/want.x 5>staging/want.l
    (cd -- "$2" && {
        find . -type f -exec sha256sum {} + >"$dir/staging/seen.f"
        find . -type f -perm -0100 >"$dir/staging/seen.x"
        find . ! -type f ! -type d | while IFS= read -r path; do
            printf '%s\t%s\n' "$(readlink "$path")" "$path"
        done >"$dir/staging/seen.l"
        # A directory stands for what is in it; one with nothing is none of ours.
        find . -type d | while IFS= read -r path; do
            for name in "$path"/* "$path"/.[!.]* "$path"/..?*; do
                { [ -e "$name" ] || [ -L "$name" ]; } && continue 2
            done
            printf 'empty\t%s\n' "$path"
        done >>"$dir/staging/seen.l"
    }) 2>/dev/null </dev/null
    # Every line is there twice, or something differs. Without the mark a tool failed.
    printf '~\n' >staging/mark
    for part in f x l; do
        sort "staging/want.$part" "staging/seen.$part" staging/mark | uniq -u
    done
}

# differs TREE PLACE: whether they do; where in $why.
differs() {
    compare "$1" "$2" >staging/differs 2>&1
    [ "$(cat staging/differs 2>/dev/null)" != "~
~
~" ] || return 1
    cull staging/differs
    why=$(cut -c 1-300 staging/differs | tail -n 3)
}

# cull: removes blobs that are not what they are named, among those that a comparison named.
cull() {
    while read -r sum rest; do
        case $sum in *[!0-9a-f]*) continue ;; esac
        [ "${#sum}" -eq 64 ] || continue
        for blob in "blobs/${sum%"${sum#??}"}/$sum" "blobs/${sum%"${sum#??}"}/$sum.x"; do
            [ -f "$blob" ] || continue
            read -r seen rest <<END
$(sha256sum -- "$blob")
END
            [ "$seen" = "$sum" ] || rm -f -- "$blob"
        done
    done <"$1"
}

# finish ID TREE INFO: holds the staged tree against its lists, and makes it a release.
verb_finish() {
    IFS= read -r id || return
    IFS= read -r tree || return
    IFS= read -r info || return
    locked || return
    # Directories that lost their last file.
    find "staging/$id" -depth -type d -exec rmdir {} + 2>/dev/null </dev/null
    ! differs "lists/$tree" "staging/$id" || { no differs "$why"; return; }
    try rm -rf -- "meta/$id" && try mkdir -- staging/meta && try cp -- "lists/$tree" staging/meta/tree ||
        { no io "$why"; return; }
    { printf '%s\n' "$info" >staging/meta/info; } 2>/dev/null || { no io 'cannot write the release record'; return; }
    try find "staging/$id" ! -path "staging/$id" -type d -exec chmod 0555 {} + || { no io "$why"; return; }
    flush
    try mv -T -- staging/meta "meta/$id" && try mv -T -- "staging/$id" "releases/$id" &&
        try chmod 0555 "releases/$id" || { no io "$why"; return; }
    flush
    yes
}

# again ID: holds a release that is there against its lists.
verb_again() {
    IFS= read -r id || return
    locked || return
    ! differs "meta/$id/tree" "releases/$id" || { no differs "$why"; return; }
    yes
}

# redate ID INFO: a release that is there is deployed once more; its record is replaced by one rename.
verb_redate() {
    IFS= read -r id || return
    IFS= read -r info || return
    locked || return
    { printf '%s\n' "$info" >staging/info; } 2>/dev/null && flush && try mv -T -- staging/info "meta/$id/info" ||
        { no io "cannot write the release record $why"; return; }
    yes
}

# switch ID STARTED UNDONE: from here to `commit` the end of this session brings the old release back.
verb_switch() {
    IFS= read -r id || return
    IFS= read -r begun || return
    IFS= read -r undone || return
    locked || return
    [ -d "releases/$id" ] || { no absent "releases/$id"; return; }
    names current || { no io "$why"; return; }
    old=$at
    audit "$begun" || { no io "$why"; return; }
    try ln -s -- "$old" undo || { no io "$why"; return; }
    unconfirmed=$undone
    if ! point current "releases/$id"; then
        no io "$why"
    elif [ -n "$reload" ] && ! run 120 "$reload"; then
        no reload "$why"
    else
        yes
    fi
}

# commit DONE: the switch is confirmed, by one rename. Nothing to do where it was already.
verb_commit() {
    IFS= read -r done || return
    locked || return
    [ -L undo ] || { unconfirmed=''; yes; return; }
    names undo || { no io "$why"; return; }
    audit "$done" || { no io "$why"; return; }
    if [ "$at" = none ]; then
        try rm -f undo || { no io "$why"; return; }
    else
        try mv -T undo previous || { no io "$why"; return; }
    fi
    unconfirmed=''
    yes
}

verb_undo() {
    IFS= read -r undone || return
    locked || return
    go_back || { no undo "$why"; return; }
    audit "$undone" || { no io "$why"; return; }
    yes
}

# health SECONDS COMMAND: once.
verb_health() {
    IFS= read -r seconds || return
    IFS= read -r command || return
    run "$seconds" "$command" current || { no health "$why"; return; }
    yes
}

verb_audit() {
    IFS= read -r line || return
    audit "$line" || { no io "$why"; return; }
    yes
}

# remove ID: never what serves, served before, or is to serve again.
verb_remove() {
    IFS= read -r id || return
    locked || return
    for link in current previous undo; do
        names "$link" || { no io "$why"; return; }
        [ "$at" != "releases/$id" ] || { no busy "$id is $link"; return; }
    done
    clear staging && try chmod u+w "releases/$id" && try mv -T -- "releases/$id" "staging/$id" &&
        try rm -rf -- "meta/$id" && clear staging || { no io "$why"; return; }
    yes
}

# sweep: blobs that no release links to, and lists that no release names.
verb_sweep() {
    locked || return
    freed=0
    find blobs -type f -links 1 -exec wc -c {} + >staging/idle 2>/dev/null </dev/null
    while read -r size name; do
        [ "$name" = total ] || freed=$((freed + size))
    done <staging/idle
    try find blobs -type f -links 1 -exec rm -f {} + || { no io "$why"; return; }
    for place in meta/*; do
        [ ! -e "$place" ] || try cat -- "$place/tree" || { no io "$why"; return; }
    done
    cat meta/*/tree 2>/dev/null </dev/null | cut -d ' ' -f 2 | sort -u >staging/named
    # A name that is both there and named is there twice; one that is only named was never sent.
    (cd lists && ls && cat ../staging/named) | sort | uniq -u | while IFS= read -r name; do
        rm -f -- "lists/$name"
    done
    rm -f staging/*
    data "freed $freed"
    yes
}

# leave: at the end of the session, however it ends.
leave() {
    trap '' EXIT HUP INT TERM
    if [ -n "$unconfirmed" ]; then
        line=$unconfirmed
        go_back && audit "$line"
    fi
    [ -z "$mine" ] || [ "$(readlink lock 2>/dev/null)" != "$mine" ] || rm -f lock
    exit 0
}
trap leave EXIT
trap leave HUP INT TERM

while IFS= read -r verb; do
    case $verb in
    and | hello | open | lock | reload | repair | state | lack | differ | have | blocks | receive | \
        assemble | adopt | stage | links | smoke | finish | again | redate | switch | commit | undo | health | audit | remove | sweep) "verb_$verb" ;;
    *) no bug "there is no $verb" ;;
    esac
done
