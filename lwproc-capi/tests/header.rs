//! `include/lwproc.h` is what cbindgen makes of this crate. With `LWPROC_WRITE_HEADER=1` it is
//! made anew (`ci/capi-header.sh`).

use std::path::Path;

/// rustdoc's chapters for Rust callers say nothing to C.
fn without_safety(header: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut skipping = false;
    for line in header.lines() {
        if line.contains(" * # Safety") {
            skipping = true;
            // The empty line before it.
            if kept.last().is_some_and(|last| last.trim() == "*") {
                kept.pop();
            }
        }
        skipping &= !line.contains(" */");
        if !skipping {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}

fn made() -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(dir.join("cbindgen.toml")).unwrap();
    let bindings = cbindgen::Builder::new().with_crate(dir).with_config(config).generate().unwrap();
    let mut header = Vec::new();
    bindings.write(&mut header);
    without_safety(&String::from_utf8(header).unwrap())
}

#[test]
fn the_header_is_what_cbindgen_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/lwproc.h");
    let made = made();
    if std::env::var_os("LWPROC_WRITE_HEADER").is_some() {
        return std::fs::write(path, made).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap();
    let differs = kept.lines().zip(made.lines()).enumerate().find(|(_, (kept, made))| kept != made);
    if let Some((at, (kept, made))) = differs {
        panic!("line {}: made\n{made}\nbut kept\n{kept}\nRun ci/capi-header.sh", at + 1);
    }
    assert!(kept == made, "one ends before the other: run ci/capi-header.sh");
}

#[test]
fn chapters_for_rust_are_left_out() {
    let header =
        "/**\n * It does.\n *\n * # Safety\n * As said.\n */\nint f(void);\n\n/**\n *\n */\n";
    assert_eq!(without_safety(header), "/**\n * It does.\n */\nint f(void);\n\n/**\n *\n */\n");
}
