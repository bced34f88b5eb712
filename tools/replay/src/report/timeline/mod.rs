//! The life of every process and thread, drawn over the lines of the log.

mod layout;

use crate::calls::wait::Status;
use crate::plan::{Plan, ProcId, TaskId};
use layout::{Bar, Layout, Row, round_step};
use std::collections::HashMap;
use std::fmt::{self, Write};

const GUTTER: f64 = 230.0;
const CHART: f64 = 1050.0;
const MARGIN: f64 = 24.0;
const TOP: f64 = 92.0;
const BAR: f64 = 13.0;
const LANE: f64 = 5.0;
const GAP: f64 = 6.0;
const LEGEND: f64 = 74.0;
/// Mean advance of a character at 10px, to tell whether a label fits.
const CHARACTER: f64 = 6.1;
/// Colours for command names.
const COLOURS: usize = 8;

/// Colours and fonts; the dark set follows the reader's setting. No CSS variables: not every
/// renderer knows them.
const STYLE: &str = "
text{font:10px ui-sans-serif,system-ui,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif}
.h1{font-size:17px;font-weight:600}.mono{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace}
.rule{stroke-width:1}.before{fill-opacity:.38}.thread{fill-opacity:.7}
.fork{fill:none;stroke-width:1;stroke-opacity:.55}.exec{stroke-width:2}
.zombie{stroke-width:1.5;stroke-dasharray:1.5 3;stroke-linecap:round}.dot,.alive{stroke-width:1.5}
.paper,.alive{fill:#fbfbf9}.band{fill:#f4f4ef}.rule{stroke:#e6e6e0}text{fill:#22262b}.soft{fill:#6a717a}
.c0{fill:#4c78b5}.c1{fill:#d0814a}.c2{fill:#4f9d7c}.c3{fill:#a46bb0}.c4{fill:#b8973a}.c5{fill:#5aa3b8}.c6{fill:#c2667f}.c7{fill:#8a8f58}
.ok{fill:#2e9e5b}.fail{fill:#d98a00}.killed{fill:#d03a3a}.exec,.dot{stroke:#fbfbf9}.fork,.zombie,.alive{stroke:#6a717a}
@media (prefers-color-scheme:dark){
.paper,.alive{fill:#15181c}.band{fill:#1b1f24}.rule{stroke:#2a2f36}text{fill:#e4e6e8}.soft{fill:#98a0a9}
.c0{fill:#6d9ad8}.c1{fill:#e09a66}.c2{fill:#6bbd99}.c3{fill:#c08ccc}.c4{fill:#d9bb55}.c5{fill:#74bfd4}.c6{fill:#dc859c}.c7{fill:#a9ae74}
.ok{fill:#4cc27c}.fail{fill:#f0a830}.killed{fill:#f06060}.exec,.dot{stroke:#15181c}.fork,.zombie,.alive{stroke:#98a0a9}
}
.in{fill:#fff;font-weight:600}
";

/// Draws a plan as an SVG picture.
pub fn timeline(log: &str, plan: &Plan) -> String {
    let mut svg = String::new();
    // Writing to a String cannot fail.
    let _ = Drawing::new(plan).draw(log, &mut svg);
    svg
}

struct Drawing<'p> {
    plan: &'p Plan,
    layout: Layout,
    inherited: Vec<Option<&'p str>>,
    colours: HashMap<&'p str, usize>,
    reaped: HashMap<ProcId, u32>,
    height: f64,
}

impl<'p> Drawing<'p> {
    fn new(plan: &'p Plan) -> Self {
        let layout = Layout::new(plan);
        let mut drawing = Self {
            plan,
            height: layout.bottom + LEGEND,
            layout,
            inherited: plan.first_comms(),
            colours: HashMap::new(),
            reaped: layout::reap_lines(plan),
        };
        drawing.choose_colours();
        drawing
    }

    /// The commonest names get colours of their own.
    fn choose_colours(&mut self) {
        let mut count: HashMap<&str, (usize, usize)> = HashMap::new();
        let plan = self.plan;
        for (_, comm) in plan.procs.iter().flat_map(|proc| &proc.images) {
            let order = count.len();
            count.entry(comm).or_insert((0, order)).0 += 1;
        }
        let mut names: Vec<_> = count.into_iter().collect();
        names.sort_by_key(|(_, (count, order))| (std::cmp::Reverse(*count), *order));
        self.colours =
            names.into_iter().enumerate().map(|(at, (comm, _))| (comm, at % COLOURS)).collect();
    }

    fn x(&self, line: u32) -> f64 {
        GUTTER + f64::from(line) / f64::from(self.plan.census.lines.max(1)) * CHART
    }

    fn width(&self) -> f64 {
        GUTTER + CHART + 2.0 * MARGIN
    }

    fn draw(&self, log: &str, svg: &mut String) -> fmt::Result {
        let (width, height) = (self.width(), self.height);
        writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" role="img">"#
        )?;
        writeln!(svg, "<title>{}</title><style>{STYLE}</style>", Escaped(log))?;
        writeln!(svg, r#"<rect class="paper" width="100%" height="100%"/>"#)?;
        self.heading(log, svg)?;
        for (index, row) in self.layout.rows.iter().enumerate() {
            if index % 2 == 1 {
                writeln!(
                    svg,
                    r#"<rect class="band" x="0" y="{:.1}" width="{width:.0}" height="{:.1}"/>"#,
                    row.y - GAP / 2.0,
                    row.height
                )?;
            }
        }
        self.axis(svg)?;
        for bar in &self.layout.bars {
            self.fork_edge(bar, svg)?;
        }
        for row in &self.layout.rows {
            self.label(row, svg)?;
        }
        for bar in &self.layout.bars {
            self.process(bar, svg)?;
        }
        self.legend(svg)?;
        writeln!(svg, "</svg>")
    }

    fn heading(&self, log: &str, svg: &mut String) -> fmt::Result {
        let threads: usize = self.layout.bars.iter().map(|bar| bar.lanes.len()).sum();
        writeln!(svg, r#"<text class="h1" x="{MARGIN}" y="34">{}</text>"#, Escaped(log))?;
        writeln!(
            svg,
            r#"<text class="soft" x="{MARGIN}" y="52">{} lines of strace, {} processes, {threads} further threads</text>"#,
            self.plan.census.lines,
            self.layout.bars.len(),
        )
    }

    fn axis(&self, svg: &mut String) -> fmt::Result {
        let lines = self.plan.census.lines.max(1);
        let step = round_step(lines);
        let bottom = self.height - LEGEND;
        let mut line = 0;
        while line <= lines {
            let x = self.x(line);
            writeln!(
                svg,
                r#"<line class="rule" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{bottom:.1}"/><text class="soft" x="{x:.1}" y="{:.1}" text-anchor="middle">{line}</text>"#,
                TOP - 12.0,
                TOP - 17.0
            )?;
            line = match line.checked_add(step) {
                Some(next) => next,
                None => break,
            };
        }
        Ok(())
    }

    /// From the parent's bar at the line of the fork down to the child's.
    fn fork_edge(&self, bar: &Bar, svg: &mut String) -> fmt::Result {
        let Some(parent) = self.plan.proc(bar.proc).parent else {
            return Ok(());
        };
        let from = self.layout.bar(parent).y + BAR;
        let (x, to) = (self.x(self.birth(bar.proc)), bar.y + BAR / 2.0);
        let bend = x - 7.0;
        writeln!(
            svg,
            r#"<path class="fork" d="M{bend:.1} {from:.1}V{:.1}Q{bend:.1} {to:.1} {x:.1} {to:.1}"/>"#,
            to - 6.0
        )
    }

    fn birth(&self, proc: ProcId) -> u32 {
        self.plan.task(self.plan.proc(proc).leader).birth
    }

    fn process(&self, bar: &Bar, svg: &mut String) -> fmt::Result {
        let proc = self.plan.proc(bar.proc);
        let number = self.plan.task(proc.leader).number;
        let ended = self.plan.ended(bar.proc);
        let last = ended.map_or(self.plan.census.lines, |(line, _)| line);
        let inherited = self.inherited[bar.proc.index()];
        let status = ended.map_or("alive at the end".to_owned(), |(_, status)| status.to_string());
        let comm = self.comm(bar.proc);
        writeln!(
            svg,
            "<g><title>{number} {}: {status}, lines {} to {last}</title>",
            Escaped(comm),
            self.birth(bar.proc)
        )?;
        self.segments(bar, last, inherited, svg)?;
        for (task, lane) in &bar.lanes {
            self.thread(bar, *task, *lane, svg)?;
        }
        self.end_mark(bar, ended, last, svg)?;
        writeln!(svg, "</g>")
    }

    /// Who is in a row: one process, or how many and their names.
    fn label(&self, row: &Row, svg: &mut String) -> fmt::Result {
        let Some(first) = row.procs.first() else { return Ok(()) };
        // Deep trees keep their labels in the gutter.
        let indent = MARGIN + f64::from(self.plan.proc(*first).depth.min(10)) * 9.0;
        let (x, y) = (indent, row.y + BAR - 3.0);
        let mut names: Vec<&str> = Vec::new();
        for comm in row.procs.iter().map(|proc| self.comm(*proc)) {
            if !names.contains(&comm) && names.len() < 4 {
                names.push(comm);
            }
        }
        let mono = match row.procs.as_slice() {
            [one] => self.plan.task(self.plan.proc(*one).leader).number.to_string(),
            several => format!("{} ×", several.len()),
        };
        writeln!(
            svg,
            r#"<text x="{x:.1}" y="{y:.1}"><tspan class="soft mono">{mono}</tspan> {}</text>"#,
            Escaped(&names.join(", "))
        )
    }

    /// The last comm of a process.
    fn comm(&self, proc: ProcId) -> &str {
        let own = self.plan.proc(proc).images.last().map(|(_, comm)| comm.as_str());
        own.or(self.inherited[proc.index()]).unwrap_or("?")
    }

    /// One piece of bar per image.
    fn segments(
        &self,
        bar: &Bar,
        last: u32,
        inherited: Option<&str>,
        svg: &mut String,
    ) -> fmt::Result {
        let proc = self.plan.proc(bar.proc);
        let birth = self.birth(bar.proc);
        let mut pieces = vec![(birth, inherited, " before")];
        for (line, comm) in &proc.images {
            pieces.push((*line, Some(comm.as_str()), ""));
        }
        for (index, (from, comm, class)) in pieces.iter().enumerate() {
            let to = pieces.get(index + 1).map_or(last, |next| next.0);
            let (x, width) = (self.x(*from), (self.x(to) - self.x(*from)).max(1.5));
            let colour =
                comm.and_then(|comm| self.colours.get(comm)).copied().unwrap_or(COLOURS - 1);
            writeln!(
                svg,
                r#"<rect class="c{colour}{class}" x="{x:.1}" y="{:.1}" width="{width:.1}" height="{BAR}" rx="2"/>"#,
                bar.y
            )?;
            if class.is_empty() {
                let bottom = bar.y + BAR;
                writeln!(
                    svg,
                    r#"<line class="exec" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{bottom:.1}"/>"#,
                    bar.y
                )?;
                let comm = comm.unwrap_or("?");
                if comm.chars().count() as f64 * CHARACTER + 8.0 < width {
                    writeln!(
                        svg,
                        r#"<text class="in" x="{:.1}" y="{:.1}">{}</text>"#,
                        x + 5.0,
                        bar.y + BAR - 3.2,
                        Escaped(comm)
                    )?;
                }
            }
        }
        Ok(())
    }

    fn thread(&self, bar: &Bar, task: TaskId, lane: usize, svg: &mut String) -> fmt::Result {
        let planned = self.plan.task(task);
        let last = planned.death.map_or(self.plan.census.lines, |death| death.line);
        let (x, y) = (self.x(planned.birth), bar.y + BAR + 1.5 + lane as f64 * LANE);
        let images = &self.plan.proc(bar.proc).images;
        let image = images.iter().rfind(|(line, _)| *line <= planned.birth);
        let comm = image.map(|(_, comm)| comm.as_str()).or(self.inherited[bar.proc.index()]);
        let colour = comm.and_then(|comm| self.colours.get(comm)).copied().unwrap_or(COLOURS - 1);
        writeln!(
            svg,
            r#"<rect class="c{colour} thread" x="{x:.1}" y="{y:.1}" width="{:.1}" height="{:.1}" rx="1.5"><title>thread {}: lines {} to {last}</title></rect>"#,
            (self.x(last) - x).max(1.5),
            LANE - 1.7,
            planned.number,
            planned.birth
        )
    }

    /// A dot for the status, and a dotted tail until the parent reaps.
    fn end_mark(
        &self,
        bar: &Bar,
        ended: Option<(u32, Status)>,
        last: u32,
        svg: &mut String,
    ) -> fmt::Result {
        let (x, y) = (self.x(last), bar.y + BAR / 2.0);
        if let (Some(_), Some(reaped)) = (ended, self.reaped.get(&bar.proc)) {
            let to = self.x(*reaped);
            if to - x > 6.0 {
                writeln!(
                    svg,
                    r#"<line class="zombie" x1="{:.1}" x2="{to:.1}" y1="{y:.1}" y2="{y:.1}"/>"#,
                    x + 6.0
                )?;
            }
        }
        writeln!(
            svg,
            r#"<circle class="{}" cx="{x:.1}" cy="{y:.1}" r="4"/>"#,
            ended.map_or("alive", |(_, status)| match status {
                Status::Exited(0) => "dot ok",
                Status::Exited(_) => "dot fail",
                Status::Killed { .. } => "dot killed",
            })
        )
    }

    fn legend(&self, svg: &mut String) -> fmt::Result {
        let y = self.height - LEGEND + 34.0;
        let mid = y - 3.5;
        let mut x = MARGIN;
        let mut item = |svg: &mut String, shape: String, text: &str| {
            writeln!(
                svg,
                r#"{shape}<text class="soft" x="{:.1}" y="{y:.1}">{text}</text>"#,
                x + 28.0
            )?;
            x += 46.0 + text.chars().count() as f64 * 5.6;
            Ok::<f64, fmt::Error>(x)
        };
        let bar = |x: f64, class: &str, height: f64| {
            format!(
                r#"<rect class="c0{class}" x="{x:.1}" y="{:.1}" width="22" height="{height}" rx="2"/>"#,
                mid - height / 2.0
            )
        };
        let dot = |x: f64, class: &str| {
            format!(r#"<circle class="{class}" cx="{:.1}" cy="{mid:.1}" r="4"/>"#, x + 14.0)
        };
        let x = item(svg, bar(MARGIN, " before", BAR), "forked")?;
        let x = item(svg, bar(x, "", BAR), "after execve, coloured by command")?;
        let x = item(svg, bar(x, " thread", LANE - 1.7), "thread")?;
        let x = item(svg, dot(x, "dot ok"), "exit 0")?;
        let x = item(svg, dot(x, "dot fail"), "other exit code")?;
        let x = item(svg, dot(x, "dot killed"), "killed by a signal")?;
        let x = item(svg, dot(x, "alive"), "alive at the end of the log")?;
        let tail = format!(
            r#"<line class="zombie" x1="{x:.1}" x2="{:.1}" y1="{mid:.1}" y2="{mid:.1}"/>"#,
            x + 22.0
        );
        item(svg, tail, "dead, not yet waited for").map(drop)
    }
}

/// Text safe inside an element.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                // Not allowed in XML, and a damaged log may hold them.
                character if character.is_control() => f.write_char('\u{fffd}')?,
                character => f.write_char(character)?,
            }
        }
        Ok(())
    }
}
