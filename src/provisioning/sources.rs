//! Files, read as trees and put together: one document per tenant.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use domain::document::Node;
use domain::setting::SettingError;
use thiserror::Error;

use super::MAX_DOCUMENT_BYTES;

/// Most files of a folder, and of one call.
const MAX_FILES: usize = 1_000;

/// Why files cannot be used at all.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There are more than anybody means.
    #[error("there are more than {MAX_FILES} files")]
    TooMany,
    /// A folder without documents.
    #[error("there is no document in {}", .0.display())]
    Nothing(PathBuf),
}

/// One file.
#[derive(Debug, Clone)]
pub struct Source {
    /// As it was named.
    pub name: String,
    /// What it says.
    pub text: String,
    /// Where names of files in it begin.
    pub folder: PathBuf,
}

/// A mistake with the file in which it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file, or several.
    pub file: String,
    /// What is wrong.
    pub error: SettingError,
}

/// The document of one tenant, with the files that its parts come from.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The document.
    pub root: Node,
    /// File by `section` or `section.name`.
    origins: BTreeMap<String, String>,
}

impl Draft {
    /// Where a mistake stands.
    pub fn locate(&self, error: SettingError) -> Mistake {
        let starts =
            |place: &str| error.path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let longest = self.origins.iter().filter(|(place, _)| starts(place)).max_by_key(|(place, _)| place.len());
        let file = longest.or_else(|| self.origins.iter().next()).map(|(_, file)| file.clone()).unwrap_or_default();
        Mistake { file, error }
    }
}

/// Reads the named files; a folder stands for its files that end in `.yaml`, `.yml` or `.json`, by name, and `-`
/// for standard input.
///
/// # Errors
/// [`SourceError`].
pub fn read_files(names: &[PathBuf]) -> Result<Vec<Source>, SourceError> {
    let mut sources = Vec::new();
    for name in names {
        if name.as_os_str() == "-" {
            sources.push(source(name, io::stdin().lock(), PathBuf::from("."))?);
        } else if name.is_dir() {
            let before = sources.len();
            for file in files_of(name)? {
                sources.push(read_file(&file)?);
            }
            if sources.len() == before {
                return Err(SourceError::Nothing(name.clone()));
            }
        } else {
            sources.push(read_file(name)?);
        }
        if sources.len() > MAX_FILES {
            return Err(SourceError::TooMany);
        }
    }
    Ok(sources)
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, SourceError> {
    let cannot_read = |source| SourceError::Read { path: folder.to_owned(), source };
    let is_document = |path: &PathBuf| {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        ["yaml", "yml", "json"].contains(&extension) && path.is_file()
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot_read)?.take(MAX_FILES * 10) {
        files.push(entry.map_err(cannot_read)?.path());
    }
    files.retain(is_document);
    files.sort();
    Ok(files)
}

fn read_file(path: &Path) -> Result<Source, SourceError> {
    let file = fs::File::open(path).map_err(|source| SourceError::Read { path: path.to_owned(), source })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    source(path, file, folder.to_owned())
}

fn source(path: &Path, reader: impl io::Read, folder: PathBuf) -> Result<Source, SourceError> {
    let cannot_read = |source| SourceError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let limit = u64::try_from(MAX_DOCUMENT_BYTES).unwrap_or(u64::MAX);
    reader.take(limit + 1).read_to_string(&mut text).map_err(cannot_read)?;
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(cannot_read(io::Error::new(io::ErrorKind::InvalidData, "longer than a document may be")));
    }
    Ok(Source { name: path.display().to_string(), text, folder })
}

/// A text as a tree. The error names the place and repeats nothing of the text, which may hold secrets.
///
/// # Errors
/// What is wrong, readable alone.
pub fn parse(text: &str) -> Result<Node, String> {
    // JSON is read as such, because YAML has rules about tabs and colons that JSON has not.
    if text.trim_start().starts_with('{')
        && let Ok(node) = serde_json::from_str(text)
    {
        return Ok(node);
    }
    // Without this the region NO would be false.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| match error.location() {
        Some(at) => format!("line {}, column {}: cannot be read as YAML or JSON", at.line(), at.column()),
        None => "cannot be read as YAML or JSON".to_owned(),
    })
}

/// Puts files together, one document per tenant, by name of the tenant.
///
/// # Errors
/// Everything that is wrong with how they fit together.
pub fn merge(sources: Vec<Source>) -> Result<BTreeMap<String, Draft>, Vec<Mistake>> {
    let mut work = Merge::default();
    for source in sources {
        match parse(&source.text) {
            Ok(mut root) => {
                absolute(&mut root, &source.folder);
                work.file(&source.name, root);
            }
            Err(rule) => work.broken(&source.name, "", rule),
        }
    }
    if work.mistakes.is_empty() { Ok(work.drafts) } else { Err(work.mistakes) }
}

#[derive(Default)]
struct Merge {
    drafts: BTreeMap<String, Draft>,
    mistakes: Vec<Mistake>,
}

impl Merge {
    fn broken(&mut self, file: &str, path: &str, rule: impl Into<String>) {
        let error = SettingError { path: path.to_owned(), value: None, rule: rule.into() };
        self.mistakes.push(Mistake { file: file.to_owned(), error });
    }

    fn file(&mut self, file: &str, root: Node) {
        let Node::Object(members) = root else { return self.broken(file, "", "has to be an object") };
        let tenant = members.iter().find_map(|(key, value)| match value {
            Node::Text(name) if key == "tenant" => Some(name.clone()),
            _ => None,
        });
        let Some(tenant) = tenant else { return self.broken(file, "tenant", "has to be the name of the tenant") };
        let draft = || Draft { root: Node::empty(), origins: BTreeMap::new() };
        let mut draft = self.drafts.remove(&tenant).unwrap_or_else(draft);
        for (key, value) in members {
            self.member(&mut draft, file, key, value);
        }
        self.drafts.insert(tenant, draft);
    }

    fn member(&mut self, draft: &mut Draft, file: &str, key: String, value: Node) {
        let other = draft.origins.get(&key).filter(|other| *other != file).cloned();
        match (draft.root.get_mut(&key), other) {
            (Some(there), Some(other)) => match (there, value) {
                // Each file says whose it is.
                (there, value) if ["tenant", "format"].contains(&key.as_str()) && *there == value => {}
                (there @ Node::Object(_), Node::Object(members)) => {
                    for (name, value) in members {
                        self.entry(there, &mut draft.origins, (file, &key), name, value);
                    }
                }
                _ => self.broken(file, &key, format!("stands in {other} too")),
            },
            // Twice in one file is the reader's to tell.
            _ => {
                for (name, _) in value.members() {
                    draft.origins.insert(format!("{key}.{name}"), file.to_owned());
                }
                draft.origins.insert(key.clone(), file.to_owned());
                match &mut draft.root {
                    Node::Object(members) => members.push((key, value)),
                    _ => draft.root.put(&key, value),
                }
            }
        }
    }

    /// An entry of a section that another file has begun.
    fn entry(
        &mut self,
        section: &mut Node,
        origins: &mut BTreeMap<String, String>,
        (file, key): (&str, &str),
        name: String,
        value: Node,
    ) {
        let place = format!("{key}.{name}");
        match origins.get(&place) {
            Some(other) if other != file => {
                let rule = format!("stands in {other} too");
                self.broken(file, &place, rule);
            }
            _ => {
                origins.insert(place, file.to_owned());
                if let Node::Object(members) = section {
                    members.push((name, value));
                }
            }
        }
    }
}

/// Names of files begin where the document is. An object of one member `file` that is a text is always one: no
/// other part of a document has that form.
fn absolute(node: &mut Node, folder: &Path) {
    match node {
        Node::Object(members) => {
            if let [(key, Node::Text(path))] = members.as_mut_slice()
                && key == "file"
            {
                *path = folder.join(&*path).display().to_string();
                return;
            }
            members.iter_mut().for_each(|(_, node)| absolute(node, folder));
        }
        Node::List(items) => items.iter_mut().for_each(|node| absolute(node, folder)),
        _ => {}
    }
}
