//! The error enums as the library's source has them.

use std::collections::BTreeMap;
use std::path::Path;

/// Variants, and the errno of each.
pub type Variants = BTreeMap<String, String>;

/// What the macros `errors!` and `refusals!` make, and what is written by hand, by name.
pub fn enums() -> BTreeMap<String, Variants> {
    let mut enums = BTreeMap::new();
    read_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut enums);
    enums
}

fn read_all(folder: &Path, enums: &mut BTreeMap<String, Variants>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, enums);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            read(&std::fs::read_to_string(&path).unwrap(), enums);
        }
    }
}

fn read(text: &str, enums: &mut BTreeMap<String, Variants>) {
    // Inside `errors! {`, and the enum there.
    let mut inside = false;
    let mut name = None;
    for line in text.lines() {
        match (inside, line) {
            (false, "errors! {" | "refusals! {") => inside = true,
            (true, "}") => (inside, name) = (false, None),
            _ if !inside => {}
            _ => {
                let line = line.trim();
                if let Some((variant, rest)) = line.split_once(" => ") {
                    let variant = variant.split(' ').next().unwrap();
                    let errno = rest.split(',').next().unwrap();
                    let enum_name: &String = name.as_ref().expect("a variant of an enum");
                    let variants: &mut Variants = enums.get_mut(enum_name).unwrap();
                    variants.insert(variant.into(), errno.into());
                } else if let Some(word) = line.strip_suffix(" {")
                    && word.chars().all(char::is_alphanumeric)
                {
                    enums.insert(word.into(), Variants::new());
                    name = Some(word.into());
                }
            }
        }
    }
    if let Some((name, variants)) = by_hand(text) {
        enums.insert(name, variants);
    }
}

/// The error enum that is not made by a macro, if a file has one. A variant whose errno
/// is that of an error in it has none here.
fn by_hand(text: &str) -> Option<(String, Variants)> {
    let (_, text) = text.split_once("\npub enum ").filter(|(_, t)| is_error(t))?;
    let (name, text) = text.split_once(" {\n")?;
    let (body, text) = text.split_once("\n}\n")?;
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let variants = lines.map(|line| line.trim_end_matches(',').split('(').next().unwrap());
    let mut variants: Variants = variants.map(|name| (name.into(), String::new())).collect();
    for (arm, result) in text.lines().filter_map(|line| line.split_once(" => ")) {
        if let Some((_, errno)) = result.trim_end_matches(',').rsplit_once("Errno::") {
            for variant in arm.split(" | ") {
                let variant = variant.trim().trim_start_matches("Self::");
                *variants.get_mut(variant).expect("a variant of the enum") = errno.into();
            }
        }
    }
    Some((name.into(), variants))
}

fn is_error(text: &str) -> bool {
    text.split_whitespace().next().is_some_and(|name| name.ends_with("Error"))
}
