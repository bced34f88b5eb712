//! The error enums as the library's source has them.

use std::collections::BTreeMap;
use std::path::Path;

/// Variants, and the errno of each.
pub type Variants = BTreeMap<String, String>;

/// What the macros `errors!` and `refusals!` make, by name.
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
}
