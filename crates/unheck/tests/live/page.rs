//! The page of `unheck size --html` in a real browser, by mouse and by keyboard.

use std::path::PathBuf;
use std::time::Instant;

use crate::browser::Browser;
use crate::kit::{build, directory, example, project, text, unheck};

/// Where one is, as the last part of the trail says.
const HERE: &str = "document.querySelector('#trail [aria-current]').textContent";
/// The label of the tile that has the focus.
const FOCUS: &str =
    "document.activeElement.getAttribute('aria-label') || document.activeElement.id";

/// The biggest tile that is called so.
fn tile(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.t')].find((one) => one.place.node && one.place.node.name === {name:?})"
    )
}

fn page_of(image: &std::path::Path) -> PathBuf {
    let page = image.with_extension("html");
    unheck(&["size", text(image), "--html", text(&page)]).ok();
    page
}

#[test]
#[ignore = "live: index, Debian archive, chromium"]
fn the_page_answers_to_mouse_and_keyboard() {
    let directory = directory();
    let image = directory.path().join("web.oci.tar");
    build(&example("web", directory.path()), &image, &["--no-verify"]);
    let size = unheck(&["size", text(&image), "--json"]).ok().json();
    let mut browser = Browser::open(&page_of(&image));
    let files = size["platforms"][0]["files"].as_u64().unwrap();
    let facts = browser.text("document.getElementById('facts').textContent");
    assert!(facts.contains(&format!("{files} files")), "{facts}");
    by_mouse(&mut browser);
    by_keyboard(&mut browser);
    by_search(&mut browser);
    as_table(&mut browser, files);
    for (width, height) in [(400, 800), (1280, 900), (3840, 2160)] {
        fits(&mut browser, width, height);
    }
    in_the_dark(&mut browser);
    let requests = browser.value("performance.getEntriesByType('resource').length");
    assert_eq!(requests, 0, "the page asked for something");
    assert_eq!(browser.troubles, Vec::<String>::new());
}

fn by_mouse(browser: &mut Browser) {
    assert_eq!(browser.text(HERE), "everything");
    browser.hover(&tile("libcrypto.so.3"));
    let tip = browser.text("document.getElementById('tip').innerText");
    for part in [
        "Debian package libssl3t64",
        "shared library",
        "interpreter",
        "needed by",
    ] {
        assert!(tip.contains(part), "{part}: {tip}");
    }
    browser.click(&tile("Debian packages"));
    assert_eq!(browser.text(HERE), "Debian packages");
    browser.click(&tile("libssl3t64"));
    assert_eq!(browser.text(HERE), "libssl3t64");
    assert_eq!(
        browser.value(&format!("{} === undefined", tile("libc6"))),
        true
    );
    browser.click("document.querySelector('#trail button')");
    assert_eq!(browser.text(HERE), "everything");
    // The browser's own way back.
    browser.value("history.back()");
    browser.wait(&format!("{HERE} === 'libssl3t64'"));
    browser.value("history.forward()");
    browser.wait(&format!("{HERE} === 'everything'"));
    // A layer of the bar.
    browser.click("[...document.querySelectorAll('#layers button')].find((one) => one.textContent.startsWith('distributions'))");
    assert_eq!(browser.text(HERE), "distributions");
    assert_eq!(
        browser.text("document.getElementById('group').value"),
        "layer"
    );
    browser.value("history.back()");
    browser.wait(&format!("{HERE} === 'everything'"));
}

fn by_keyboard(browser: &mut Browser) {
    browser.value("document.getElementById('search').focus()");
    // From the search through the trail, which has no button here, into the map.
    browser.key("Tab");
    let first = browser.text(FOCUS);
    assert!(first.starts_with("Debian packages, "), "{first}");
    assert_eq!(
        browser.value("document.querySelectorAll('[role=treeitem][tabindex=\"0\"]').length"),
        1
    );
    let outline = browser.text("getComputedStyle(document.activeElement).outlineStyle");
    assert_eq!(outline, "solid", "the focus is to be seen");
    browser.key("ArrowRight");
    let second = browser.text(FOCUS);
    assert!(second.starts_with("distributions, "), "{second}");
    browser.key("ArrowLeft");
    assert_eq!(browser.text(FOCUS), first);
    browser.key("Enter");
    assert_eq!(browser.text(HERE), "Debian packages");
    let inner = browser.text(FOCUS);
    assert!(inner.contains(" unpacked, about "), "{inner}");
    browser.key("ArrowDown");
    let below = browser.text(FOCUS);
    assert_ne!(below, inner);
    browser.key("Enter");
    let name = browser.text(HERE);
    assert!(below.starts_with(&name), "{below} {name}");
    browser.key("Escape");
    assert_eq!(
        browser.text(FOCUS),
        below,
        "back on the tile that it came from"
    );
    browser.key("Escape");
    assert_eq!(browser.text(HERE), "everything");
    let tree = browser.call("Accessibility.getFullAXTree", serde_json::json!({}));
    let nodes = tree["nodes"].as_array().unwrap();
    let named = |role: &str| {
        nodes
            .iter()
            .filter(|node| {
                node["role"]["value"] == role
                    && !node["name"]["value"]
                        .as_str()
                        .unwrap_or_default()
                        .is_empty()
            })
            .count()
    };
    let tiles = browser.value("document.querySelectorAll('[role=treeitem]').length");
    assert_eq!(
        named("treeitem") as u64,
        tiles.as_u64().unwrap(),
        "each tile has a name"
    );
    assert_eq!((named("tree"), named("searchbox")), (1, 1));
}

fn by_search(browser: &mut Browser) {
    browser.value("document.activeElement.blur()");
    browser.key("/");
    assert_eq!(browser.text(FOCUS), "search");
    browser.type_text("LIBSSL3T64 libcrypto");
    browser.wait("document.getElementById('found').textContent.startsWith('1 file matches')");
    assert_eq!(
        browser.value(&format!(
            "{}.classList.contains('dim')",
            tile("libcrypto.so.3")
        )),
        false
    );
    assert_eq!(
        browser.value(&format!("{}.classList.contains('dim')", tile("libc.so.6"))),
        true
    );
    browser.key("Enter");
    assert_eq!(browser.text(HERE), "lib/x86_64-linux-gnu/");
    // The focus is on the map now; back in the search, Escape empties it.
    browser.key("/");
    browser.key("Escape");
    assert_eq!(browser.text("document.getElementById('search').value"), "");
    assert_eq!(
        browser.text("document.getElementById('found').textContent"),
        ""
    );
    browser.value("document.getElementById('search').focus()");
    browser.type_text("no such thing");
    browser.wait("document.getElementById('found').textContent === 'Nothing matches.'");
    browser.key("Escape");
    browser.click("document.querySelector('#trail button')");
}

fn as_table(browser: &mut Browser, files: u64) {
    browser.click("document.querySelector('[name=view][value=table]')");
    assert_eq!(browser.value("document.getElementById('map').hidden"), true);
    let rows =
        "[...document.querySelectorAll('#table tbody tr')].map((row) => row.cells[0].textContent)";
    let all = browser.value(rows);
    assert!(
        all.as_array()
            .unwrap()
            .iter()
            .any(|name| name == "Debian packages"),
        "{all}"
    );
    let sums = browser.value("[...document.querySelectorAll('#table tbody tr')].reduce((sum, row) => sum + Number(row.cells[4].textContent), 0)");
    assert_eq!(sums, files, "the table has every file");
    browser.click("document.querySelector('[data-key=name]')");
    assert_eq!(
        browser.text("document.querySelector('th[aria-sort=ascending] button').dataset.key"),
        "name"
    );
    let sorted = browser.value(&format!(
        "(() => {{ const names = {rows}; return names.join() === [...names].sort().join(); }})()"
    ));
    assert_eq!(sorted, true);
    browser.click("[...document.querySelectorAll('#table td button')].find((one) => one.textContent === 'distributions')");
    assert_eq!(browser.text(HERE), "distributions");
    browser.value("(() => { const rows = document.getElementById('rows'); rows.value = 'files'; rows.dispatchEvent(new Event('change')); })()");
    let first = browser.value(&format!("{rows}.length"));
    assert_eq!(first, 500, "long tables come in parts");
    browser.click("document.querySelector('.more')");
    assert!(browser.value(&format!("{rows}.length")).as_u64().unwrap() > 500);
    browser.click("document.querySelector('[name=view][value=map]')");
    browser.click("document.querySelector('#trail button')");
}

/// No part is wider than the window; tiles lie in the map, and not on each other.
fn fits(browser: &mut Browser, width: u32, height: u32) {
    browser.width(width, height);
    browser.wait("document.querySelectorAll('[role=treeitem]').length > 1");
    browser.frame();
    let wide = browser.value("document.documentElement.scrollWidth - innerWidth");
    assert!(
        wide.as_f64().unwrap() <= 0.0,
        "{width}: {wide} pixels too wide"
    );
    let laid_out = browser.value(
        "(() => { const map = document.getElementById('map').getBoundingClientRect(); const boxes = [...document.querySelectorAll('[role=treeitem]')].map((one) => one.getBoundingClientRect()); const over = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.5; return { out: boxes.filter((b) => b.left < map.left - 0.5 || b.right > map.right + 0.5 || b.top < map.top - 0.5 || b.bottom > map.bottom + 0.5).length, over: boxes.filter((a, i) => boxes.some((b, j) => j > i && over(a, b))).length, full: boxes.reduce((sum, b) => sum + b.width * b.height, 0) / (map.width * map.height) }; })()",
    );
    assert_eq!(
        (&laid_out["out"], &laid_out["over"]),
        (&0.into(), &0.into()),
        "{width}: {laid_out}"
    );
    assert!(
        laid_out["full"].as_f64().unwrap() > 0.95,
        "{width}: {laid_out}"
    );
}

fn in_the_dark(browser: &mut Browser) {
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = browser.text(ground);
    let dark = serde_json::json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
    browser.call("Emulation.setEmulatedMedia", dark);
    assert_ne!(browser.text(ground), light);
}

#[test]
#[ignore = "live: index, Debian archive, chromium"]
fn twenty_thousand_files_with_hostile_names_are_drawn_at_once() {
    let directory = directory();
    let app = project(
        &directory.path().join("many"),
        &[("main.py", "print('many')\n"), ("requirements.txt", "")],
    );
    for number in 0..20_000_u32 {
        let folder = app.join(format!("data/{:03}", number / 100));
        if number % 100 == 0 {
            fs_err::create_dir_all(&folder).unwrap();
        }
        let name = match number % 100 {
            7 => format!("<img src=x onerror=alert({number})>"),
            8 => format!("{number}\u{202e}</script><script>alert(1)<!--"),
            _ => format!("file-{number}.bin"),
        };
        let name = name.replace('/', "\u{2215}");
        fs_err::write(
            folder.join(name),
            vec![b'x'; 10 + (number as usize * 37) % 4000],
        )
        .unwrap();
    }
    let image = directory.path().join("many.oci.tar");
    build(&app, &image, &["--no-verify"]);
    let page = page_of(&image);
    let start = Instant::now();
    let mut browser = Browser::open(&page);
    let opened = start.elapsed();
    let ready = browser.value("performance.now()");
    let files = browser.text("document.getElementById('facts').textContent");
    assert!(files.contains("2") && files.contains("files"), "{files}");
    let drawn = browser.value("document.querySelectorAll('.t').length");
    assert!(drawn.as_u64().unwrap() <= 5000, "{drawn} tiles");
    let redraw = browser.value(
        "(() => { const group = document.getElementById('group'); const start = performance.now(); group.value = 'folder'; group.dispatchEvent(new Event('change')); return performance.now() - start; })()",
    );
    let search = browser.value(
        "(() => { const search = document.getElementById('search'); const start = performance.now(); search.value = 'onerror'; search.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter' })); return performance.now() - start; })()",
    );
    assert_eq!(
        browser
            .text("document.getElementById('found').textContent")
            .split(':')
            .next(),
        Some("200 files match")
    );
    println!(
        "opened in {opened:?}, page at {ready} ms, grouped anew in {redraw} ms, searched in {search} ms"
    );
    for (what, millis) in [("grouping", &redraw), ("search", &search)] {
        assert!(millis.as_f64().unwrap() < 1500.0, "{what}: {millis} ms");
    }
    // No name became an element.
    assert_eq!(browser.value("document.images.length"), 0);
    assert_eq!(browser.value("document.scripts.length"), 2);
    assert_eq!(browser.troubles, Vec::<String>::new());
}
