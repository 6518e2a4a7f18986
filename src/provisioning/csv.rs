//! CALLBACK_SETTINGS as a table: a row per queue, a column per setting, under our names or the product's.
//!
//! A file changes what it has: the columns of a row are put into its queue, other settings and other queues stay
//! as they are, and an empty cell sets a setting back to its default.

use std::collections::{BTreeMap, BTreeSet};

use csv::{ReaderBuilder, Writer};
use domain::document::{Node, fields};
use domain::ids::TenantId;
use domain::ports::{Expected, Kept};
use domain::queue::QueueSettings;
use domain::queue::product::{self, Form, ROUTING_OPTIONS, Shape};
use domain::setting::SettingError;
use thiserror::Error;

use super::credentials::broken;
use super::{Order, Plan, Provisioning, ProvisioningError, export};

/// Most rows of a table.
const MAX_ROWS: usize = 10_000;
/// The column with the name of the queue, as we write it and as others may.
const QUEUE: &str = "queue";
const QUEUE_TITLES: [&str; 3] = [QUEUE, "Queue", "Virtual Queue"];
/// What is passed on has a column per option.
const OPTIONS: &str = "routingOptions";
/// A cell that begins so is a formula to a spreadsheet.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\''];

/// Why a table could not be written.
#[derive(Debug, Error)]
pub enum CsvError {
    /// The document could not be had.
    #[error(transparent)]
    Document(#[from] ProvisioningError),
    /// The table itself.
    #[error("cannot write the table")]
    Write,
}

/// A text that no spreadsheet takes for a formula. A plain number is none.
fn guarded(cell: String) -> String {
    let number =
        cell.strip_prefix('-').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    if cell.starts_with(FORMULA) && !number { format!("'{cell}") } else { cell }
}

fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| rest.starts_with(FORMULA)).unwrap_or(cell)
}

/// What a column sets.
#[derive(Clone)]
struct Column {
    title: String,
    /// Our key, or the name of an option.
    key: String,
    form: Form,
    shape: Shape,
    option: bool,
}

impl Column {
    /// The column with that title, if there is such a setting.
    fn titled(title: &str) -> Option<Self> {
        let column = |key: &str, form, option| {
            let shape = product::shapes().get(key).copied().unwrap_or(Shape::Text);
            Self { title: title.to_owned(), key: key.to_owned(), form, shape, option }
        };
        if ROUTING_OPTIONS.contains(&title) {
            return Some(column(title, Form::Plain, true));
        }
        match product::product_key(title) {
            Some(key) => Some(column(key.ours, key.form, false)),
            None => product::shapes().contains_key(title).then(|| column(title, Form::Plain, false)),
        }
    }

    /// Puts the value of a cell into the settings of its queue.
    fn put(&self, queue: &str, settings: &mut Node, cell: &str) {
        let value = product::read(self.form, self.shape, queue, unguarded(cell.trim()));
        match (value, self.option) {
            (Some(value), false) => settings.put(&self.key, value),
            (None, false) => drop(settings.take(&self.key)),
            (Some(value), true) => match settings.get_mut(OPTIONS) {
                Some(options) => options.put(&self.key, value),
                None => settings.put(OPTIONS, Node::Object(vec![(self.key.clone(), value)])),
            },
            (None, true) => drop(settings.get_mut(OPTIONS).and_then(|options| options.take(&self.key))),
        }
    }
}

impl Provisioning {
    /// The queues of a tenant as a table, with the revision of the document.
    ///
    /// # Errors
    /// [`CsvError`].
    pub async fn export_csv(
        &self,
        tenant: TenantId,
        shows: impl Fn(&str) -> bool + Send,
    ) -> Result<(u64, String), CsvError> {
        let kept = self.kept(tenant).await?;
        let node = export::to_node(&kept.document);
        let queues = node.get("queues").map(Node::members).unwrap_or_default();
        let queues: Vec<_> = queues.iter().filter(|(name, _)| shows(name)).collect();
        let options: BTreeSet<&str> = queues
            .iter()
            .flat_map(|(_, settings)| settings.get(OPTIONS).map(Node::members).unwrap_or_default())
            .map(|(name, _)| name.as_str())
            .collect();
        let keys: Vec<_> = fields::<QueueSettings>().iter().copied().filter(|key| *key != OPTIONS).collect();
        let mut writer = Writer::from_writer(Vec::new());
        let titles = [QUEUE].into_iter().chain(keys.iter().copied()).chain(options.iter().copied());
        writer.write_record(titles).map_err(|_| CsvError::Write)?;
        for (name, settings) in &queues {
            let cell = |node: Option<&Node>| guarded(node.map(product::cell).unwrap_or_default());
            let passed = settings.get(OPTIONS);
            let cells = keys.iter().map(|key| cell(settings.get(key)));
            let options = options.iter().map(|key| cell(passed.and_then(|passed| passed.get(key))));
            let row = [guarded(name.clone())].into_iter().chain(cells).chain(options);
            writer.write_record(row).map_err(|_| CsvError::Write)?;
        }
        let bytes = writer.into_inner().map_err(|_| CsvError::Write)?;
        Ok((kept.revision, String::from_utf8(bytes).map_err(|_| CsvError::Write)?))
    }

    /// What becomes of a table. Nothing is changed, and nothing can be once the document has another revision.
    ///
    /// # Errors
    /// [`ProvisioningError::Mistakes`], each with its row and column, or the store failed.
    pub async fn plan_csv(&self, tenant: TenantId, text: &str, order: &Order<'_>) -> Result<Plan, ProvisioningError> {
        let Kept { revision, document } = self.current(tenant).await?;
        let mut root = export::to_node(&document);
        let table = Table::read(text).map_err(ProvisioningError::Mistakes)?;
        let mut queues = root.take("queues").unwrap_or_else(Node::empty);
        for row in &table.rows {
            let mut settings = queues.take(&row.queue).unwrap_or_else(Node::empty);
            for (column, cell) in &row.cells {
                column.put(&row.queue, &mut settings, cell);
            }
            queues.put(&row.queue, settings);
        }
        root.put("queues", queues);
        let plan = self.plan_of(tenant, &document.tenant, root, order).await.map_err(|error| match error {
            ProvisioningError::Mistakes(mistakes) => ProvisioningError::Mistakes(table.locate_all(mistakes)),
            other => other,
        })?;
        Ok(plan.expecting(Expected::Revision(revision)))
    }
}

struct Row {
    /// As spreadsheets count: the titles are row 1.
    number: usize,
    queue: String,
    cells: Vec<(Column, String)>,
}

struct Table {
    rows: Vec<Row>,
}

impl Table {
    fn read(text: &str) -> Result<Self, Vec<SettingError>> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let titles = text.lines().next().unwrap_or_default();
        let delimiter = if titles.contains(';') && !titles.contains(',') { b';' } else { b',' };
        let mut reader = ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(text.as_bytes());
        let titles = reader.headers().map_err(|_| vec![broken("row 1", "cannot be read as CSV")])?.clone();
        let mut mistakes = Vec::new();
        let columns = columns(titles.iter(), &mut mistakes);
        let queue_at = titles.iter().position(|title| QUEUE_TITLES.contains(&title.trim()));
        let queue_at = queue_at.or_else(|| titles.iter().position(|title| title.trim() == "_vq"));
        let Some(queue_at) = queue_at else {
            mistakes.push(broken("row 1", format!("has to have a column {QUEUE}")));
            return Err(mistakes);
        };
        let mut rows: Vec<Row> = Vec::new();
        for (position, record) in reader.records().enumerate() {
            let number = position + 2;
            let place = format!("row {number}");
            let Ok(record) = record else {
                mistakes.push(broken(place, "cannot be read as CSV"));
                continue;
            };
            let queue = unguarded(record.get(queue_at).unwrap_or_default().trim()).to_owned();
            if queue.is_empty() {
                mistakes.push(broken(format!("{place}, column {QUEUE}"), "has to be the name of a queue"));
            } else if rows.iter().any(|row| row.queue == queue) {
                mistakes.push(broken(format!("{place}, column {QUEUE}"), format!("there is another row of {queue:?}")));
            } else if record.len() > titles.len() {
                mistakes.push(broken(place, format!("has {} cells and {} titles", record.len(), titles.len())));
            } else if number > MAX_ROWS {
                mistakes.push(broken(place, format!("a table has at most {MAX_ROWS} rows")));
                break;
            } else {
                let cells = columns.iter().zip(record.iter());
                let cells = cells.filter_map(|(column, cell)| Some((column.clone()?, cell.to_owned()))).collect();
                rows.push(Row { number, queue, cells });
            }
        }
        if mistakes.is_empty() { Ok(Self { rows }) } else { Err(mistakes) }
    }

    /// Mistakes that were found in the document, at their rows and columns and in that order.
    fn locate_all(&self, mistakes: Vec<SettingError>) -> Vec<SettingError> {
        let mut located: Vec<_> = mistakes.into_iter().map(|mistake| self.locate(mistake)).collect();
        located.sort_by_key(|(place, _)| *place);
        located.into_iter().map(|(_, mistake)| mistake).collect()
    }

    /// One mistake with the numbers of its row and column; what is not of the table comes last.
    fn locate(&self, mistake: SettingError) -> ((usize, usize), SettingError) {
        for row in &self.rows {
            let Some(rest) = mistake.path.strip_prefix(&format!("queues.{}", row.queue)) else { continue };
            let place = format!("row {}", row.number);
            if rest.is_empty() {
                return ((row.number, 0), SettingError { path: place, ..mistake });
            }
            let Some(rest) = rest.strip_prefix('.') else { continue };
            let key = rest.strip_prefix(OPTIONS).and_then(|rest| rest.strip_prefix('.')).unwrap_or(rest);
            let is_of = |column: &Column| {
                key.strip_prefix(&column.key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            let mut cells = row.cells.iter().enumerate();
            if let Some((at, (column, _))) = cells.find(|(_, (column, _))| is_of(column)) {
                let path = format!("{place}, column {}", column.title);
                return ((row.number, at + 1), SettingError { path, ..mistake });
            }
        }
        ((usize::MAX, 0), mistake)
    }
}

/// What each title stands for; none for the names of queues.
fn columns<'a>(titles: impl Iterator<Item = &'a str>, mistakes: &mut Vec<SettingError>) -> Vec<Option<Column>> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut column = |title: &str| {
        let title = unguarded(title.trim());
        if QUEUE_TITLES.contains(&title) {
            return None;
        }
        let Some(column) = Column::titled(title) else {
            let known =
                fields::<QueueSettings>().iter().copied().chain(product::PRODUCT_KEYS.iter().map(|key| key.name));
            let meant = domain::nearest::nearest(title, known.chain(ROUTING_OPTIONS.iter().copied()));
            let hint = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
            mistakes.push(broken(format!("row 1, column {title}"), format!("is not a known setting{hint}")));
            return None;
        };
        if let Some(other) = seen.insert(column.key.clone(), title.to_owned()) {
            let rule = format!("says the same as {other}, which stands there too");
            mistakes.push(broken(format!("row 1, column {title}"), rule));
        }
        Some(column)
    };
    titles.map(&mut column).collect()
}
