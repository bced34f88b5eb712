//! Draws what was measured: cost against live processes, and throughput against
//! threads, one small chart for each operation, from the TSV of `measure table`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// A line of the TSV.
struct Point {
    threads: f64,
    live: f64,
    ours: f64,
    floor: f64,
    peer: f64,
}

/// By operation, in the order of the file.
type Charts = Vec<(String, Vec<Point>)>;

fn read(tsv: &Path) -> Result<Charts, Box<dyn Error>> {
    let mut charts: Charts = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for line in fs::read_to_string(tsv)?.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [op, threads, live, ours, floor, _, peer] = fields.as_slice() else {
            return Err(format!("not a line of the table: {line:?}").into());
        };
        let point = Point {
            threads: threads.parse()?,
            live: live.parse()?,
            ours: ours.parse()?,
            floor: floor.parse()?,
            peer: peer.parse()?,
        };
        let place = *places.entry((*op).to_owned()).or_insert_with(|| {
            charts.push(((*op).to_owned(), Vec::new()));
            charts.len() - 1
        });
        charts[place].1.push(point);
    }
    Ok(charts)
}

const WIDTH: f64 = 210.0;
const HEIGHT: f64 = 150.0;
const ACROSS: usize = 4;
/// Lines of a chart: name, colour, dashes.
const LINES: [(&str, &str, &str); 3] =
    [("lwproc", "#0b6", ""), ("best peer", "#c33", ""), ("floor", "#888", "4 3")];

/// One chart: three lines over the same places.
struct Chart {
    title: String,
    places: Vec<String>,
    lines: [Vec<f64>; 3],
}

fn short(value: f64) -> String {
    match value {
        _ if value >= 1e6 => format!("{:.3}M", value / 1e6).replace(".000", ""),
        _ if value >= 1e3 => format!("{:.3}k", value / 1e3).replace(".000", ""),
        _ if value >= 10.0 => format!("{value:.0}"),
        _ if value < 0.1 => format!("{value:.3}").trim_end_matches('0').to_owned(),
        _ => format!("{value:.1}"),
    }
}

impl Chart {
    fn draw(&self, out: &mut String, x: f64, y: f64) -> std::fmt::Result {
        let values = || self.lines.iter().flatten().copied().filter(|value| *value > 0.0);
        let low = values().fold(f64::INFINITY, f64::min).log10().floor();
        let high = values().fold(0.0, f64::max).log10().ceil().max(low + 1.0);
        let (left, top, wide, tall) = (x + 34.0, y + 24.0, WIDTH - 50.0, HEIGHT - 50.0);
        let across = |at: usize| left + wide * at as f64 / (self.places.len() - 1).max(1) as f64;
        let down = |value: f64| top + tall * (high - value.log10()) / (high - low);
        writeln!(out, "<text x='{left}' y='{:.0}' class='t'>{}</text>", y + 14.0, self.title)?;
        let mut decade = low;
        while decade <= high {
            let (value, at) = (10f64.powf(decade), down(10f64.powf(decade)));
            writeln!(out, "<path d='M{left} {at:.1}h{wide}' class='g'/>")?;
            let label = short(value);
            writeln!(
                out,
                "<text x='{:.0}' y='{:.1}' class='e'>{label}</text>",
                left - 4.0,
                at + 3.0
            )?;
            decade += 1.0;
        }
        for (at, place) in self.places.iter().enumerate() {
            let (x, y) = (across(at), top + tall + 13.0);
            writeln!(out, "<text x='{x:.1}' y='{y:.1}' class='m'>{place}</text>")?;
        }
        for ((_, colour, dashes), values) in LINES.iter().zip(&self.lines) {
            let points: Vec<String> = values
                .iter()
                .enumerate()
                .filter(|(_, value)| **value > 0.0)
                .map(|(at, value)| format!("{:.1},{:.1}", across(at), down(*value)))
                .collect();
            writeln!(
                out,
                "<polyline points='{}' stroke='{colour}' stroke-dasharray='{dashes}'/>",
                points.join(" ")
            )?;
        }
        Ok(())
    }
}

fn page(title: &str, charts: &[Chart]) -> Result<String, std::fmt::Error> {
    let (wide, rows) = (WIDTH * ACROSS as f64, charts.len().div_ceil(ACROSS));
    let tall = rows as f64 * HEIGHT + 40.0;
    let mut out = String::new();
    writeln!(
        out,
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {wide} {tall}' font-family='sans-serif' font-size='9'>"
    )?;
    writeln!(
        out,
        "<style>.t{{font-size:10px;font-weight:bold}}.g{{stroke:#ddd}}.e{{text-anchor:end}}.m{{text-anchor:middle}}polyline{{fill:none;stroke-width:1.6}}</style>"
    )?;
    writeln!(out, "<rect width='{wide}' height='{tall}' fill='#fff'/>")?;
    writeln!(out, "<text x='34' y='20' font-size='13'>{title}</text>")?;
    for (at, (name, colour, dashes)) in LINES.iter().enumerate() {
        let x = wide - 260.0 + 85.0 * at as f64;
        writeln!(
            out,
            "<polyline points='{x},16 {:.0},16' stroke='{colour}' stroke-dasharray='{dashes}'/><text x='{:.0}' y='19'>{name}</text>",
            x + 20.0,
            x + 24.0
        )?;
    }
    for (at, chart) in charts.iter().enumerate() {
        let (x, y) = ((at % ACROSS) as f64 * WIDTH, (at / ACROSS) as f64 * HEIGHT + 36.0);
        chart.draw(&mut out, x, y)?;
    }
    writeln!(out, "</svg>")?;
    Ok(out)
}

/// A chart of the points that `wanted` takes, in the order of `key`.
fn chart(
    (op, points): &(String, Vec<Point>),
    wanted: impl Fn(&Point) -> bool,
    key: impl Fn(&Point) -> f64,
    value: impl Fn(&Point, f64) -> f64,
) -> Option<Chart> {
    let mut points: Vec<&Point> = points.iter().filter(|point| wanted(point)).collect();
    points.sort_by(|a, b| key(a).total_cmp(&key(b)));
    points.dedup_by(|a, b| key(a).total_cmp(&key(b)).is_eq());
    (points.len() > 1).then(|| Chart {
        title: op.replace('&', "&amp;").replace('<', "&lt;"),
        places: points.iter().map(|point| short(key(point)).replace(".0", "")).collect(),
        lines: [
            points.iter().map(|point| value(point, point.ours)).collect(),
            points.iter().map(|point| value(point, point.peer)).collect(),
            points.iter().map(|point| value(point, point.floor)).collect(),
        ],
    })
}

/// Draws the two pictures into a directory.
pub fn draw(tsv: &Path, directory: &Path) -> Result<(), Box<dyn Error>> {
    let charts = read(tsv)?;
    let live: Vec<Chart> = charts
        .iter()
        .filter_map(|ops| chart(ops, |point| point.threads == 1.0, |point| point.live, |_, ns| ns))
        .collect();
    let threads: Vec<Chart> = charts
        .iter()
        .filter_map(|ops| {
            let millions = |point: &Point, ns: f64| point.threads * 1e3 / ns;
            chart(ops, |point| point.live == 1000.0, |point| point.threads, millions)
        })
        .collect();
    let title = "ns for one operation against live processes, one thread";
    fs::write(directory.join("cost-against-live.svg"), page(title, &live)?)?;
    let title = "million operations a second against threads, 1,000 live processes";
    fs::write(directory.join("throughput-against-threads.svg"), page(title, &threads)?)?;
    Ok(())
}
