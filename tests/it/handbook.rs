//! The pages on the API say what to type: all of it is typed here, page by page, against the running program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::harness::api;
use crate::harness::service::{Options, Service};

/// Tells the status of every answer on standard error, where the test reads it.
const PRELUDE: &str = "set -euo pipefail\ncurl() { command curl --write-out '%{stderr}<%{http_code}>' \"$@\"; }\n";

/// Commands of one fenced block.
struct Block {
    text: String,
    /// The fence says ```` ```sh refused ````: the block shows how something is refused.
    refused: bool,
}

fn pages() -> Vec<PathBuf> {
    let folder = Path::new("docs/api");
    let mut pages: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut parts = page.split("\n```");
    parts.next();
    // Every other part is the inside of a fence.
    for inside in parts.step_by(2) {
        let (fence, text) = inside.split_once('\n').unwrap_or((inside, ""));
        if fence == "sh" || fence == "sh refused" {
            blocks.push(Block { text: text.to_owned(), refused: fence == "sh refused" });
        }
    }
    blocks
}

/// Status codes of all answers, in order.
fn statuses(told: &str) -> Vec<u16> {
    told.split('<').filter_map(|part| part.get(..3)?.parse().ok()).collect()
}

/// A page's blocks share one shell, as they would on a desk: what one sets, the next one uses.
fn try_page(page: &Path) -> usize {
    let name = page.file_name().unwrap().to_string_lossy();
    let blocks = blocks(&fs::read_to_string(page).unwrap());
    let service = Service::start(Options::default());
    let mut script = PRELUDE.to_owned();
    for block in &blocks {
        script += "printf '\\n<<block>>\\n' >&2\n";
        script += &block.text;
        script += "\n";
    }
    let output = Command::new("bash")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", env::var("PATH").unwrap_or_default())
        .env("BASE", format!("http://{}", service.external()))
        .env("INTERNAL", format!("http://{}", service.internal()))
        .env("KEY", api::KEY)
        .env("GES", env!("CARGO_BIN_EXE_ges"))
        .env("GES_DATA_DIR", service.folder().data())
        .current_dir(service.folder().beside("."))
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} ends with {}:\n{said}\n{told}", output.status);
    let of_blocks: Vec<_> = told.split("<<block>>").skip(1).map(statuses).collect();
    assert_eq!(of_blocks.len(), blocks.len(), "{name}: {told}");
    for (block, statuses) in blocks.iter().zip(&of_blocks) {
        let fits = |status: &u16| (200..300).contains(status) || (block.refused && (400..500).contains(status));
        assert!(statuses.iter().all(fits), "{name}: {statuses:?} of\n{}\n{said}", block.text);
        let refused = statuses.iter().any(|status| *status >= 400);
        assert_eq!(refused, block.refused, "{name}: {statuses:?} of\n{}\n{said}", block.text);
    }
    of_blocks.iter().map(Vec::len).sum()
}

#[test]
fn what_the_pages_say_works_as_it_stands() {
    let pages = pages();
    for page in &pages {
        let answers = try_page(page);
        assert!(answers > 0, "{} shows nothing that can be tried", page.display());
        println!("{}: {answers} answers", page.display());
    }
    assert!(pages.len() >= 4, "{pages:?}");
}
