//! Curves as SVG: latency and CPU against load, memory against connections.
//!
//! A plot is text of a few kilobytes that a browser, and a page of Markdown, shows; it needs no
//! library.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::error::{Attempt, BenchError};
use crate::figures::{Point, Spread};
use crate::lineup::Contestant;
use crate::outcome::Outcome;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 36.0;
const BOTTOM: f64 = 48.0;

const TICKS: u32 = 5;

/// Where the plots are, below the folder of the page.
const FOLDER: &str = "docs/benchmarks";

/// Draws all curves there are, and returns the Markdown that shows them.
pub(super) fn write_all(root: &Path, outcomes: &[Outcome]) -> Result<String, BenchError> {
    let mut markdown = String::new();
    for outcome in outcomes {
        let spec = outcome.scenario.spec();
        let Some((x, y)) = spec.axes else { continue };
        let cpu = format!("server CPU, µs per {}", spec.unit);
        let plots: [Plot<'_>; 2] = [
            ("", y, |point| Some(*point)),
            ("-cpu", &cpu, |point| {
                Some(Point::new(point.load, point.cpu?))
            }),
        ];
        for (suffix, y, read) in plots {
            let curves = read_curves(outcome, read);
            if curves.iter().all(|(_, points)| points.is_empty()) {
                continue;
            }
            let name = format!("{}{suffix}.svg", spec.name);
            fs::create_dir_all(root.join(FOLDER)).attempt("make the folder of the plots")?;
            let path = root.join(FOLDER).join(&name);
            fs::write(&path, draw(spec.title, x, y, &curves))
                .attempt(&format!("write {}", path.display()))?;
            super::push_line(
                &mut markdown,
                &format!("![{}: {y}](benchmarks/{name})\n", spec.title),
            );
        }
    }
    Ok(markdown)
}

/// What a plot's file is called beside its scenario, what its y axis says, and where that is in a
/// point.
type Plot<'a> = (&'static str, &'a str, fn(&Point) -> Option<Point>);

/// The curves of all contestants, of what `read` finds in their points.
fn read_curves(
    outcome: &Outcome,
    read: fn(&Point) -> Option<Point>,
) -> Vec<(Contestant, Vec<Point>)> {
    let curves = outcome.curves.iter();
    curves
        .map(|(contestant, points)| {
            let points: Vec<Point> = points.iter().filter_map(read).collect();
            (*contestant, medians(&points))
        })
        .collect()
}

/// One point for each load: the median over blocks.
fn medians(points: &[Point]) -> Vec<Point> {
    let mut loads: Vec<f64> = points.iter().map(|point| point.load).collect();
    loads.sort_by(f64::total_cmp);
    loads.dedup_by(|a, b| a.total_cmp(b).is_eq());
    let median = |load: f64| {
        let same = points
            .iter()
            .filter(|point| point.load.total_cmp(&load).is_eq());
        let spread = Spread::of(same.map(|point| point.value))?;
        Some(Point::new(load, spread.median))
    };
    loads.into_iter().filter_map(median).collect()
}

fn draw(title: &str, x: &str, y: &str, curves: &[(Contestant, Vec<Point>)]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let frame = Frame::around(curves);
    let middle = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
    text(&mut svg, (LEFT, 20.0), "start", &format!("{title}: {y}"));
    text(&mut svg, (middle, HEIGHT - 10.0), "middle", x);
    frame.draw(&mut svg);
    for (row, (contestant, points)) in curves.iter().enumerate() {
        let colour = colour(*contestant);
        curve(&mut svg, &frame, colour, points);
        let (x, y) = (WIDTH - RIGHT + 12.0, TOP + 12.0 + 18.0 * row as f64);
        let height = y - 6.0;
        push(
            &mut svg,
            &format!(
                "<rect x=\"{x}\" y=\"{height}\" width=\"12\" height=\"4\" fill=\"{colour}\"/>"
            ),
        );
        text(&mut svg, (x + 18.0, y), "start", contestant.title());
    }
    svg.push_str("</svg>\n");
    svg
}

/// What the axes reach to.
struct Frame {
    right: f64,
    top: f64,
}

impl Frame {
    fn around(curves: &[(Contestant, Vec<Point>)]) -> Self {
        let points = || curves.iter().flat_map(|(_, points)| points);
        Self {
            right: points().map(|point| point.load).fold(1.0, f64::max),
            top: points().map(|point| point.value).fold(1.0, f64::max),
        }
    }

    /// Where a point is in the drawing.
    fn at(&self, point: Point) -> (f64, f64) {
        let across = point.load / self.right * (WIDTH - LEFT - RIGHT);
        let up = point.value / self.top * (HEIGHT - TOP - BOTTOM);
        (LEFT + across, HEIGHT - BOTTOM - up)
    }

    fn draw(&self, svg: &mut String) {
        for tick in 0..=TICKS {
            let share = f64::from(tick) / f64::from(TICKS);
            let (load, value) = (self.right * share, self.top * share);
            let (left, level) = self.at(Point::new(0.0, value));
            line(svg, (left, level), (WIDTH - RIGHT, level));
            text(svg, (left - 6.0, level + 4.0), "end", &label(value));
            let (place, bottom) = self.at(Point::new(load, 0.0));
            text(svg, (place, bottom + 18.0), "middle", &label(load));
        }
    }
}

fn curve(svg: &mut String, frame: &Frame, colour: &str, points: &[Point]) {
    let places: Vec<(f64, f64)> = points.iter().map(|point| frame.at(*point)).collect();
    let path: Vec<String> = places
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let path = path.join(" ");
    push(
        svg,
        &format!(
            "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        ),
    );
    for (x, y) in places {
        push(
            svg,
            &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"),
        );
    }
}

fn colour(contestant: Contestant) -> &'static str {
    match contestant {
        Contestant::Floor | Contestant::CoalescingFloor => "#888888",
        Contestant::Ours => "#1f6feb",
        Contestant::Socketioxide => "#d1740f",
        Contestant::SocketIo => "#2da44e",
        Contestant::NestJs => "#bf3989",
    }
}

/// A round number without more digits than it has.
fn label(value: f64) -> String {
    if value >= 10_000.0 {
        format!("{:.0}k", value / 1_000.0)
    } else if value >= 10.0 || value == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, what: &str) {
    push(
        svg,
        &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{what}</text>"),
    );
}

fn line(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    push(
        svg,
        &format!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" \
             stroke=\"#dddddd\"/>"
        ),
    );
}

fn push(svg: &mut String, element: &str) {
    writeln!(svg, "{element}").expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(load: f64, value: f64) -> Point {
        Point::new(load, value)
    }

    #[test]
    fn a_load_that_was_tried_in_three_blocks_is_one_point() {
        let points = [
            point(2.0, 9.0),
            point(1.0, 4.0),
            point(1.0, 6.0),
            point(1.0, 5.0),
        ];
        assert_eq!(medians(&points), [point(1.0, 5.0), point(2.0, 9.0)]);
    }

    #[test]
    fn a_curve_stays_within_its_frame() {
        let curve = vec![point(0.0, 0.0), point(1_000.0, 80.0)];
        let svg = draw("title", "load", "ms", &[(Contestant::Ours, curve)]);
        let ends = format!(
            "points=\"{LEFT:.1},{:.1} {:.1},{TOP:.1}\"",
            HEIGHT - BOTTOM,
            WIDTH - RIGHT
        );
        assert!(svg.contains(&ends), "{svg}");
        assert!(svg.contains("ours") && svg.ends_with("</svg>\n"));
    }
}
