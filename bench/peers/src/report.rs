//! The tables, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use crate::driver::{Round, RunResults, SystemResults};
use crate::roster::Name;
use crate::turn::Figure;
use crate::work::{HUNDRED, PAYLOAD, STREAMS, Scale, Work};

/// Returns the median, the least and the greatest value.
pub(crate) fn spread(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_by(f64::total_cmp);
    Some([*values.get(values.len() / 2)?, *values.first()?, *values.last()?])
}

/// The quantity that a table shows.
#[derive(Clone, Copy)]
enum Quantity {
    /// Events or reads a second.
    Rate,
    /// Microseconds for each.
    Microseconds,
    /// Processor milliseconds per thousand events.
    Cpu,
}

impl Quantity {
    fn value(self, figure: &Figure) -> f64 {
        match self {
            Quantity::Rate => figure.rate,
            Quantity::Microseconds => 1e6 / figure.rate,
            Quantity::Cpu => figure.cpu * 1e3,
        }
    }
}

/// The page under construction, with its footnotes.
struct Page<'a> {
    found: &'a RunResults,
    text: String,
    notes: Vec<String>,
}

/// Makes the whole page.
pub(crate) fn page(found: &RunResults, command: &str) -> anyhow::Result<String> {
    let mut page = Page { found, text: String::new(), notes: Vec::new() };
    page.head(command)?;
    page.appends()?;
    page.reads()?;
    page.costs()?;
    page.syncs()?;
    page.settings()?;
    page.footnotes()?;
    Ok(page.text)
}

/// The title of a column and its workload.
type Column = (&'static str, Work);

const SINGLES: [Column; 4] = [
    ("1 in flight", Work::Single(1)),
    ("8", Work::Single(8)),
    ("64", Work::Single(64)),
    ("512", Work::Single(512)),
];
const BATCHES: [Column; 2] = [("1 in flight", Work::Batch(1)), ("8", Work::Batch(8))];
const ON_TAGS: [Column; 2] = [("1 in flight", Work::OnTags(1)), ("64", Work::OnTags(64))];
const STREAM_READS: [Column; 4] = [
    ("hot, contiguous", Work::HotContiguous),
    ("hot, interleaved", Work::HotInterleaved),
    ("cold, contiguous", Work::ColdContiguous),
    ("cold, interleaved", Work::ColdInterleaved),
];
const QUERIES: [Column; 2] = [("a category of 1,000", Work::Category), ("a tag of 100", Work::Tag)];
const REPLAYS: [Column; 1] = [("events a second", Work::Replay)];
const CPUS: [Column; 5] = [
    ("single, 1 in flight", Work::Single(1)),
    ("single, 64", Work::Single(64)),
    ("single, 512", Work::Single(512)),
    ("batches, 8", Work::Batch(8)),
    ("replay", Work::Replay),
];

impl Page<'_> {
    fn head(&mut self, command: &str) -> anyhow::Result<()> {
        let scale = self.found.scale.unwrap_or(Scale::QUICK);
        writeln!(
            self.text,
            "# Beside the peers\n\n\
             Written by `{command}` on {}; one machine, one run of {:.0} minutes, nothing edited.\n\n\
             - **Machine:** {}.\n\
             - **Durability:** every acknowledgement waits for its `fdatasync` or `fsync`; [counted \
               below](#syncs). Only SierraDB's defaults wait for a later one that others share.\n\
             - **Rounds:** {}; in each every system has a turn, in another order each time, in a \
               process of its own, alone on the machine, after two seconds of idle processors. \
               Figures are medians (least to greatest). Appends are measured for {} s at a time, hot \
               reads for {} s.\n\
             - **Control:** before and after its appends each turn runs the bare loop: write and \
               fdatasync into a file of zeros, {} bytes at a time.\n\
             - **Events:** {PAYLOAD} bytes of random letters, ids given. Appends go into an empty store, to {STREAMS} streams \
               in 64 categories, each under its expected version. Reads go to {} events in {} streams \
               of {HUNDRED}, half of them contiguous, half interleaved with 99 others.\n\
             - Leftfold runs in process, and so does UmaDB's core; all others are servers on the same \
               two processors, reached over a local socket. Compare like with like: \
               servers pay for a round trip.",
            today(),
            self.found.minutes,
            machine(),
            self.found.rounds,
            scale.append_seconds,
            scale.read_seconds,
            crate::systems::bare::FRAME,
            thousands(scale.events() as f64),
            thousands((2 * scale.streams) as f64),
        )?;
        if self.found.busy.is_empty() {
            writeln!(self.text, "- The processors were idle before every turn.")?;
        } else {
            let busy = self.found.busy.join("; ");
            writeln!(
                self.text,
                "- **Busy** processors after a minute of waiting: {busy}. Take those turns with care."
            )?;
        }
        Ok(())
    }

    fn appends(&mut self) -> anyhow::Result<()> {
        self.title("Appends of one event under an expected version", "Events a second.")?;
        self.table(&SINGLES, Quantity::Rate, true)?;
        self.ratios(&SINGLES)?;
        self.title(
            "Batches of a hundred events of one stream under an expected version",
            "Events a second.",
        )?;
        self.table(&BATCHES, Quantity::Rate, true)?;
        self.ratios(&BATCHES)?;
        self.title(
            "Appends on condition that no event with these two tags has come since",
            "Events a second.",
        )?;
        self.table(&ON_TAGS, Quantity::Rate, true)?;
        self.ratios(&ON_TAGS)
    }

    fn reads(&mut self) -> anyhow::Result<()> {
        let cold = self.note(
            "The page cache is emptied with posix_fadvise, before the store or server is opened and \
             after; what a server has mapped or read into its own buffers when it starts stays.",
        );
        self.title(
            "A stream of a hundred events",
            &format!(
                "Microseconds for each, one reader. Cold: first reads of streams far apart.{cold}"
            ),
        )?;
        self.table(&STREAM_READS, Quantity::Microseconds, false)?;
        self.ratios(&STREAM_READS)?;
        self.title("Queries", "Microseconds for each, one reader, in memory.")?;
        self.table(&QUERIES, Quantity::Microseconds, false)?;
        self.ratios(&QUERIES)?;
        self.title("Replay of everything in the order of the log", "One reader.")?;
        self.table(&REPLAYS, Quantity::Rate, false)?;
        self.ratios(&REPLAYS)
    }

    fn costs(&mut self) -> anyhow::Result<()> {
        self.title(
            "Processor time",
            "Milliseconds for a thousand events, client and server together.",
        )?;
        self.table(&CPUS, Quantity::Cpu, false)?;
        let memory = self.note(
            "VmHWM of the server's processes and of the one that asks, or of the one that holds \
             both; what PostgreSQL's processes share counts once. Mapped files count as far as they \
             are resident.",
        );
        let indexes = self.note(
            "Leftfold and UmaDB hold and index the tags of these events, and Leftfold the categories, \
             types and ids as well; the others hold none of that but what their rows say.",
        );
        self.title("Disk and memory", "")?;
        writeln!(
            self.text,
            "| | bytes on disk for an event{indexes} | preallocated, journal or catalogs | peak memory, MB{memory} |\n\
             |---|---|---|---|"
        )?;
        for (name, of) in self.measured() {
            let (data, reserve) = of.load.map_or(("–".to_owned(), "–".to_owned()), |load| {
                let (events, _, disk) = load;
                let reserve = format!("{} MB", thousands(disk.reserve as f64 / 1e6));
                (thousands(disk.data as f64 / events as f64), reserve)
            });
            let peaks =
                of.rounds.iter().filter_map(|round| round.memory).map(|bytes| bytes as f64 / 1e6);
            let memory = cell(spread(peaks.collect()));
            writeln!(self.text, "| {} | {data} | {reserve} | {memory} |", name.title())?;
        }
        Ok(())
    }

    fn syncs(&mut self) -> anyhow::Result<()> {
        writeln!(
            self.text,
            "\n<a id=\"syncs\"></a>\n\n## Syncs\n\n\
             SystemArguments appender, 200 appends of one event, all threads and processes under `strace`; the \
             last column is the syncs per acknowledged append.\n\n\
             | | system calls | writes that are syncs (O_SYNC, RWF_DSYNC) | syncs an append |\n\
             |---|---|---|---|"
        )?;
        for (name, of) in self.found.systems.iter() {
            let Some(counted) = &of.syncs else { continue };
            let calls: Vec<String> =
                counted.syncs.iter().map(|(call, times)| format!("{times} {call}")).collect();
            let calls = if calls.is_empty() { "none".to_owned() } else { calls.join(", ") };
            let (writes, each) = (counted.synced_writes, counted.per_append());
            writeln!(self.text, "| {} | {calls} | {writes} | {each:.2} |", name.title())?;
        }
        Ok(())
    }

    fn settings(&mut self) -> anyhow::Result<()> {
        writeln!(
            self.text,
            "\n## Versions and settings\n\n| | version | settings and client |\n|---|---|---|"
        )?;
        for (name, of) in self.found.systems.iter() {
            writeln!(self.text, "| {} | {} | {} |", name.title(), of.version, name.settings())?;
        }
        let failed: Vec<_> =
            self.found.systems.iter().filter(|(_, of)| !of.failures.is_empty()).collect();
        if !failed.is_empty() {
            writeln!(self.text, "\n## Failures\n")?;
        }
        for (name, of) in failed {
            for why in &of.failures {
                writeln!(self.text, "- {}: {why}", name.title())?;
            }
        }
        Ok(())
    }

    fn footnotes(&mut self) -> anyhow::Result<()> {
        if self.notes.is_empty() {
            return Ok(());
        }
        writeln!(self.text, "\n## Notes\n")?;
        for (n, note) in self.notes.iter().enumerate() {
            writeln!(self.text, "{}. {note}.", n + 1)?;
        }
        Ok(())
    }

    fn title(&mut self, title: &str, under: &str) -> anyhow::Result<()> {
        writeln!(self.text, "\n## {title}\n")?;
        if !under.is_empty() {
            writeln!(self.text, "{under}\n")?;
        }
        Ok(())
    }

    /// Returns the systems that had a turn.
    fn measured(&self) -> Vec<(Name, SystemResults)> {
        let took_part = |(_, of): &&(Name, SystemResults)| !of.rounds.is_empty();
        self.found.systems.iter().filter(took_part).cloned().collect()
    }

    fn table(&mut self, columns: &[Column], show: Quantity, control: bool) -> anyhow::Result<()> {
        let titles: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
        let beside = if control { " the bare loop beside it, syncs a second |" } else { "" };
        writeln!(self.text, "| | {} |{beside}", titles.join(" | "))?;
        writeln!(self.text, "|---|{}", "---|".repeat(columns.len() + usize::from(control)))?;
        for (name, of) in self.measured() {
            let cells: Vec<String> =
                columns.iter().map(|(_, work)| self.shown(name, &of, *work, show)).collect();
            if cells.iter().all(|cell| cell.starts_with('–')) && name == Name::Bare {
                continue;
            }
            write!(self.text, "| {} | {} |", name.title(), cells.join(" | "))?;
            if control {
                let beside = cell(spread(of.rounds.iter().filter_map(Round::control).collect()));
                write!(self.text, " {beside} |")?;
            }
            writeln!(self.text)?;
        }
        Ok(())
    }

    fn shown(&mut self, name: Name, of: &SystemResults, work: Work, show: Quantity) -> String {
        let all = of.rounds.iter().filter_map(|round| round.figure(work));
        match spread(all.map(|figure| show.value(figure)).collect()) {
            Some(spread) => cell(Some(spread)),
            None => match name.cannot(work) {
                Some(why) => format!("–{}", self.note(why)),
                None => "failed".to_owned(),
            },
        }
    }

    /// Adds the ratio of our rate to each other system's, round by round.
    fn ratios(&mut self, columns: &[Column]) -> anyhow::Result<()> {
        let Some(ours) = self.found.of(Name::Leftfold).cloned() else { return Ok(()) };
        let mut rows = String::new();
        for (name, of) in self.measured() {
            if name == Name::Leftfold {
                continue;
            }
            let ratio = |work: Work| {
                let pairs = ours.rounds.iter().zip(&of.rounds);
                let ratios = pairs.filter_map(|(ours, theirs)| {
                    Some(ours.figure(work)?.rate / theirs.figure(work)?.rate)
                });
                spread(ratios.collect())
            };
            let all: Vec<_> = columns.iter().map(|(_, work)| ratio(*work)).collect();
            if all.iter().any(Option::is_some) {
                let cells: Vec<String> = all.into_iter().map(factor).collect();
                writeln!(rows, "| {} | {} |", name.title(), cells.join(" | "))?;
            }
        }
        if !rows.is_empty() {
            let titles: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
            let (titles, lines) = (titles.join(" | "), "---|".repeat(columns.len()));
            writeln!(
                self.text,
                "\nLeftfold's rate divided by each other system's, round by round:\n"
            )?;
            writeln!(self.text, "| | {titles} |\n|---|{lines}\n{rows}")?;
        }
        Ok(())
    }

    /// Returns the mark of a footnote; equal notes share a number.
    fn note(&mut self, note: &str) -> String {
        let note = note.trim_end_matches('.');
        let at = self.notes.iter().position(|one| one == note).unwrap_or_else(|| {
            self.notes.push(note.to_owned());
            self.notes.len() - 1
        });
        format!("<sup>{}</sup>", at + 1)
    }
}

impl Round {
    fn figure(&self, work: Work) -> Option<&Figure> {
        self.figures.iter().find(|(one, _)| *one == work).map(|(_, figure)| figure)
    }

    /// Returns the mean of the control before and after the appends.
    fn control(&self) -> Option<f64> {
        let all: f64 = self.control.iter().sum();
        (!self.control.is_empty()).then(|| all / self.control.len() as f64)
    }
}

/// Formats a number with three digits, or with all digits before the point.
fn thousands(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let decimals = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.decimals$}");
    let (whole, rest) =
        text.split_once('.').map_or((text.as_str(), ""), |(whole, rest)| (whole, rest));
    let mut grouped = String::new();
    for (n, digit) in whole.chars().enumerate() {
        if n > 0 && (whole.len() - n) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if rest.is_empty() { grouped } else { format!("{grouped}.{rest}") }
}

fn cell(spread: Option<[f64; 3]>) -> String {
    let Some([median, least, greatest]) = spread else { return "–".to_owned() };
    format!("{} ({} to {})", thousands(median), thousands(least), thousands(greatest))
}

fn factor(spread: Option<[f64; 3]>) -> String {
    let Some([median, least, greatest]) = spread else { return "–".to_owned() };
    format!("**{}** ({} to {})", thousands(median), thousands(least), thousands(greatest))
}

/// Describes processor, cores, memory, disk and kernel.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or("?".to_owned(), |(_, rest)| rest.trim().to_owned())
    };
    let model = after(&read("/proc/cpuinfo"), "model name");
    let memory = after(&read("/proc/meminfo"), "MemTotal");
    let gibibytes = memory.split(' ').next().and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{cores} cores of {model}, {:.0} GiB of memory, {}, Linux {}",
        gibibytes / 1_048_576.0,
        disk(&read("/proc/self/mountinfo")),
        kernel.trim()
    )
}

/// Returns the file system and the device of the working directory.
fn disk(mounts: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let mut best = BTreeMap::new();
    for line in mounts.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (Some(point), Some(dash)) = (fields.get(4), fields.iter().position(|one| *one == "-"))
        else {
            continue;
        };
        if here.starts_with(point) {
            let at = |n: usize| fields.get(dash + n).copied().unwrap_or("?");
            best.insert(point.len(), format!("{} on {}", at(1), at(2)));
        }
    }
    best.into_values().next_back().unwrap_or_else(|| "?".to_owned())
}

/// Returns the date in UTC.
fn today() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let days = since.map_or(0, |since| since.as_secs() / 86_400) as i64;
    // Convert days to the civil calendar, by eras of 400 years that begin in March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march + 2) / 5 + 1;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_short() {
        assert_eq!(thousands(1_234_567.8), "1,234,568");
        assert_eq!(thousands(123.4), "123");
        assert_eq!(thousands(12.34), "12.3");
        assert_eq!(thousands(0.456), "0.46");
    }

    #[test]
    fn a_page_has_a_row_per_system_and_footnotes() {
        let figure = Figure { rate: 1_000.0, cpu: 0.01 };
        let round = |rate: f64| Round {
            control: vec![2_000.0, 3_000.0],
            figures: vec![(Work::Single(1), Figure { rate, ..figure })],
            memory: Some(5_000_000),
        };
        let ours = SystemResults {
            rounds: vec![round(900.0), round(1_000.0)],
            ..SystemResults::default()
        };
        let theirs =
            SystemResults { rounds: vec![round(100.0), round(50.0)], ..SystemResults::default() };
        let found = RunResults {
            systems: vec![(Name::Leftfold, ours), (Name::Nats, theirs)],
            ..RunResults::default()
        };
        let text = page(&found, "a command").unwrap();
        assert!(
            text.contains("| **Leftfold**, embedded | 1,000 (900 to 1,000) | failed"),
            "{text}"
        );
        assert!(
            text.contains("| NATS JetStream, sync always | **20.0** (9.00 to 20.0) |"),
            "{text}"
        );
        assert!(text.contains("2,500 (2,500 to 2,500)"), "{text}");
        assert!(text.contains("JetStream has subjects, no tags."), "{text}");
    }
}
