//! Reading a document so that everything that is wrong with it is told at once.
//!
//! A reader by serde stops at the first mistake. Here the document is read again after each one, with a stand-in
//! where the mistake was, until it can be read to its end; so every type that serde can read is read like this,
//! and what is told is what the type itself says.

mod fields;
mod node;
mod reader;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use crate::setting::SettingError;
pub use fields::fields;
pub use node::Node;
use reader::{Fault, Pass, Reader};

/// Mistakes that are told of one document; after that it is enough.
pub const MAX_MISTAKES: usize = 1_000;

/// Where something stands, from the top of the document.
pub type Path = Vec<String>;

/// What came of reading a document.
#[derive(Debug)]
pub struct Reading<T> {
    /// The document, with stand-ins where something was wrong: good for looking for further mistakes, and for
    /// nothing else unless there are none. None if nothing could stand in.
    pub value: Option<T>,
    /// Everything that is wrong, in the order of the document.
    pub mistakes: Vec<SettingError>,
    /// Where stand-ins are: what is found wrong there is an echo.
    pub stand_ins: BTreeSet<Path>,
}

impl<T> Reading<T> {
    /// Adds what further checks found, without echoes.
    pub fn add(&mut self, found: impl IntoIterator<Item = SettingError>) {
        let stand_ins: Vec<String> = self.stand_ins.iter().map(|path| path.join(".")).collect();
        let echo = |path: &str| {
            stand_ins
                .iter()
                .any(|bad| path.strip_prefix(bad.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
        };
        self.mistakes.extend(found.into_iter().filter(|error| !echo(&error.path)));
    }
}

/// Reads `root` as a `T`.
pub fn read<T: DeserializeOwned>(root: &Node) -> Reading<T> {
    let mut work = Work { tree: root.clone(), mistakes: Vec::new(), stand_ins: BTreeSet::new() };
    for path in work.tree.drop_repeated() {
        work.note(path, None, "stands there twice".to_owned());
    }
    let mut value = None;
    // Each round replaces at least one thing that was there, so there is an end to it.
    while work.mistakes.len() < MAX_MISTAKES {
        let pass = Pass::default();
        match T::deserialize(Reader::new(&work.tree, &pass)) {
            Ok(read) => {
                value = Some(read);
                break;
            }
            Err(fault) => {
                let (path, fault) = pass.into_failed().unwrap_or((Path::new(), fault));
                if !work.repair(&path, &fault) {
                    break;
                }
            }
        }
    }
    let mut mistakes = work.mistakes;
    mistakes.sort_by_cached_key(|(path, _)| root.position(path));
    Reading { value, mistakes: mistakes.into_iter().map(|(_, error)| error).collect(), stand_ins: work.stand_ins }
}

struct Work {
    tree: Node,
    mistakes: Vec<(Path, SettingError)>,
    stand_ins: BTreeSet<Path>,
}

impl Work {
    fn note(&mut self, path: Path, value: Option<String>, rule: String) {
        let error = SettingError { path: path.join("."), value, rule };
        self.mistakes.push((path, error));
    }

    /// Notes a mistake unless it is the echo of one, and puts something in its place that can be read, or may be
    /// left out. False if that cannot be done.
    fn repair(&mut self, path: &Path, fault: &Fault) -> bool {
        let Some(node) = self.tree.at_mut(path) else { return false };
        match fault {
            _ if matches!(node, Node::Filler | Node::Gone) => {}
            Fault::Unknown(rule) => {
                *node = Node::Gone;
                self.note(path.clone(), None, rule.clone());
                return true;
            }
            Fault::Missing(key) => {
                let missing: Path = path.iter().cloned().chain([key.clone()]).collect();
                // If it is known to be wrong, neither a stand-in nor nothing will do there.
                if let Node::Object(members) = node
                    && self.stand_ins.insert(missing.clone())
                {
                    members.push((key.clone(), Node::Filler));
                    self.note(missing, None, "is missing".to_owned());
                    return true;
                }
            }
            Fault::Rule(rule) => {
                let value = node.shown();
                self.note(path.clone(), value, rule.clone());
            }
            Fault::Hidden(rule) => self.note(path.clone(), None, rule.clone()),
        }
        self.stand_in(path)
    }

    /// What is there becomes a filler, what was one becomes nothing.
    fn stand_in(&mut self, path: &Path) -> bool {
        self.stand_ins.insert(path.clone());
        match self.tree.at_mut(path) {
            Some(node @ Node::Filler) if !path.is_empty() => *node = Node::Gone,
            Some(Node::Filler | Node::Gone) | None => return false,
            Some(node) => *node = Node::Filler,
        }
        true
    }
}
