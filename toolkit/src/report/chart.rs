//! The charts of a page: SVG that takes its colours from the style of the page, so that it follows it into the dark.
//!
//! Each is drawn twice, for a narrow and for a wide page, since text that shrinks with its chart cannot be read.

use std::sync::Arc;

use kuva::backend::svg::SvgBackend;
use kuva::plot::{BandPlot, BarPlot, ForestPlot, LinePlot};
use kuva::render::annotations::ReferenceLine;
use kuva::render::layout::{Layout, TickFormat};
use kuva::render::plots::Plot;
use kuva::render::render::render_multiple;
use kuva::render::theme::Theme;

use super::Report;
use super::words::{count, label, percent, percent_or_none, ranked};

/// A chart for both kinds of page.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What it shows, for those who do not see it.
    pub label: String,
    /// What its colours and shapes mean.
    pub legend: Vec<Key>,
    /// The drawings.
    pub drawings: [Drawing; 2],
}

/// A line of the legend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The class of the swatch.
    pub class: &'static str,
    /// What it means.
    pub text: String,
}

/// What is inside an `<svg>`.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// The class of the page that it is for.
    pub class: &'static str,
    /// Its width, in pixels.
    pub width: f64,
    /// Its height.
    pub height: f64,
    /// Its elements; text in them is escaped.
    pub body: String,
}

/// A kind of page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page {
    Narrow,
    Wide,
}

impl Page {
    fn class(self) -> &'static str {
        match self {
            Self::Narrow => "narrow",
            Self::Wide => "wide",
        }
    }

    fn width(self) -> f64 {
        match self {
            Self::Narrow => 316.0,
            Self::Wide => 860.0,
        }
    }

    fn ticks(self) -> usize {
        match self {
            Self::Narrow => 4,
            Self::Wide => 8,
        }
    }
}

const BACKGROUND: &str = "none";
const REACHED: &str = "var(--mark)";
const WAITING: &str = "var(--waiting)";
const BAND: &str = "var(--band)";
const INK: &str = "var(--ink)";
const GRID: &str = "var(--grid)";

const ROW_HEIGHT: f64 = 38.0;
const AXIS_HEIGHT: f64 = 64.0;

fn draw(page: Page, height: f64, plots: Vec<Plot>, adjust: impl Fn(Layout) -> Layout) -> Drawing {
    let theme = Theme {
        background: BACKGROUND.into(),
        axis_color: INK.into(),
        tick_color: INK.into(),
        text_color: INK.into(),
        grid_color: GRID.into(),
        ..Theme::light()
    };
    let layout = Layout::auto_from_plots(&plots)
        .with_theme(theme)
        .with_width(page.width())
        .with_height(height)
        .with_ticks(page.ticks());
    let scene = render_multiple(plots, adjust(layout));
    let svg = SvgBackend::new().render_scene(&scene);
    // Between the root's tags; the page writes a root of its own.
    let body = svg.split_once('>').map_or("", |(_, rest)| rest);
    let body = body.rsplit_once("</svg>").map_or("", |(body, _)| body).to_owned();
    Drawing { class: page.class(), width: scene.width, height: scene.height, body }
}

/// A label that is no formula.
fn plain(text: &str) -> String {
    text.replace('$', "\\$")
}

fn percents() -> TickFormat {
    TickFormat::Custom(Arc::new(|share| format!("{:.0}\u{a0}%", share * 100.0)))
}

/// Counts, without the parts of one that a tick may be at.
fn counts() -> TickFormat {
    #[expect(clippy::cast_possible_truncation, reason = "ticks are at small numbers")]
    TickFormat::Custom(Arc::new(
        |number| if number.fract() == 0.0 { count(number as i64) } else { String::new() },
    ))
}

#[expect(clippy::cast_precision_loss, reason = "there are few rows")]
fn height_of(rows: usize) -> f64 {
    rows as f64 * ROW_HEIGHT + AXIS_HEIGHT
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^53 customers")]
fn number(count: i64) -> f64 {
    count as f64
}

/// The stages from top to bottom, with those who may still come.
pub fn funnel(report: &Report) -> Option<Chart> {
    let steps = &report.journey_funnel;
    if steps.iter().all(|step| step.customers == 0) {
        return None;
    }
    let drawing = |page: Page| {
        let mut bars = BarPlot::new().with_horizontal(true).with_stacked().with_width(0.7);
        // From bottom to top.
        for step in steps.iter().rev() {
            let stage = plain(&label(Some(&step.stage)));
            let share = percent_or_none(step.conversion);
            let name = match page {
                Page::Narrow => format!("{stage} {share}"),
                Page::Wide => format!("{stage}: {} ({share})", count(step.customers)),
            };
            bars =
                bars.with_group(name, [(number(step.customers), REACHED), (number(step.undecided), WAITING)]);
        }
        draw(page, height_of(steps.len()), vec![bars.into()], |layout| {
            layout.with_x_label("Customers").with_x_tick_format(counts()).with_clamp_axis()
        })
    };
    let stages = steps.iter().map(|step| {
        let waiting =
            if step.undecided > 0 { format!(", {} may still", count(step.undecided)) } else { String::new() };
        format!("{} {}{waiting}", label(Some(&step.stage)), count(step.customers))
    });
    Some(Chart {
        label: format!("Bar chart of the funnel: {}.", stages.collect::<Vec<_>>().join("; ")),
        legend: vec![
            Key { class: "reached", text: "reached the stage".to_owned() },
            Key { class: "waiting", text: "have not, and still may".to_owned() },
        ],
        drawings: [drawing(Page::Narrow), drawing(Page::Wide)],
    })
}

/// The share that has subscribed, by days, with its limits.
pub fn curve(report: &Report) -> Option<Chart> {
    let curve = &report.time_to_subscription;
    let last = curve.last().filter(|last| last.days > 0 && last.waiting < 1.0)?;
    // It is level between two days, and so are its limits.
    let (mut days, mut shares, mut lower, mut upper) = (vec![0.0], vec![0.0], vec![0.0], vec![0.0]);
    for point in curve {
        let subscribed = 1.0 - point.waiting;
        let low = point.upper_limit.map_or(subscribed, |limit| 1.0 - limit);
        let high = point.lower_limit.map_or(subscribed, |limit| 1.0 - limit);
        for series in [&mut shares, &mut lower, &mut upper] {
            series.push(series[series.len() - 1]);
        }
        days.extend([f64::from(point.days); 2]);
        shares.push(subscribed);
        lower.push(low);
        upper.push(high);
    }
    let highest = upper.iter().copied().fold(0.0, f64::max);
    let top = ((highest * 10.0).ceil() / 10.0).clamp(0.1, 1.0);
    let drawing = |page: Page| {
        let band =
            BandPlot::new(days.clone(), lower.clone(), upper.clone()).with_color(BAND).with_opacity(1.0);
        let line = LinePlot::new()
            .with_data(days.iter().copied().zip(shares.iter().copied()))
            .with_color(REACHED)
            .with_stroke_width(2.0);
        let height = if page == Page::Narrow { 250.0 } else { 340.0 };
        draw(page, height, vec![band.into(), line.into()], |layout| {
            let layout = layout
                .with_x_label("Days after they came")
                .with_x_tick_format(counts())
                .with_x_axis_min(0.0)
                .with_x_axis_max(f64::from(last.days))
                .with_y_axis_min(0.0)
                .with_y_axis_max(top)
                .with_y_tick_format(percents());
            if top >= 0.5 {
                layout.with_reference_line(ReferenceLine::horizontal(0.5).with_color(INK))
            } else {
                layout
            }
        })
    };
    Some(Chart {
        label: format!(
            "Line chart that rises from 0 to {} of the customers, who have subscribed {} days after they came.",
            percent(1.0 - last.waiting),
            count(last.days.into())
        ),
        legend: vec![
            Key { class: "line", text: "have subscribed".to_owned() },
            Key {
                class: "band",
                text: format!(
                    "where the share of all such customers lies, with {} confidence",
                    percent(report.confidence)
                ),
            },
        ],
        drawings: [drawing(Page::Narrow), drawing(Page::Wide)],
    })
}

/// The sources, best first, with their limits.
pub fn sources(report: &Report) -> Option<Chart> {
    let lines: Vec<_> = ranked(&report.source_performance)
        .into_iter()
        .filter_map(|line| {
            let share = line.conversion?;
            let name = label(line.source.as_deref());
            Some((name, share, line.lower_limit.unwrap_or(share), line.upper_limit.unwrap_or(share)))
        })
        .collect();
    if lines.is_empty() {
        return None;
    }
    let drawing = |page: Page| {
        let mut plot = ForestPlot::new().with_color(REACHED).with_null_value(0.0).with_cap_size(4.0);
        plot.show_null_line = false;
        plot.marker_size = 5.0;
        plot.whisker_width = 2.0;
        for (name, share, lower, upper) in &lines {
            let name = match page {
                Page::Narrow => plain(name),
                Page::Wide => format!("{}: {}", plain(name), percent(*share)),
            };
            plot = plot.with_row(name, *share, lower.max(0.0), *upper);
        }
        let highest = lines.iter().map(|line| line.3).fold(0.0, f64::max);
        draw(page, height_of(lines.len()) - 8.0, vec![plot.into()], |layout| {
            layout
                .with_x_label("Subscribed")
                .with_x_tick_format(percents())
                .with_x_axis_min(0.0)
                .with_x_axis_max(((highest * 10.0).ceil() / 10.0).clamp(0.1, 1.0))
        })
    };
    let shares: Vec<_> =
        lines.iter().map(|(name, share, ..)| format!("{name} {}", percent(*share))).collect();
    Some(Chart {
        label: format!(
            "Chart of the share that subscribed, with its limits, by source: {}.",
            shares.join("; ")
        ),
        legend: vec![
            Key { class: "point", text: "of the customers whose window is over".to_owned() },
            Key { class: "whisker", text: format!("{} limits", percent(0.95)) },
        ],
        drawings: [drawing(Page::Narrow), drawing(Page::Wide)],
    })
}

/// The medians of the stays, and how long nine of ten are.
pub fn stages(report: &Report) -> Option<Chart> {
    const DAY: f64 = 86_400.0;
    let lines: Vec<_> = report
        .stage_durations
        .iter()
        .filter_map(|line| {
            let median = line.median_seconds? / DAY;
            Some((label(Some(&line.stage)), median, line.p90_seconds.map_or(median, |p90| p90 / DAY)))
        })
        .collect();
    if lines.is_empty() {
        return None;
    }
    let drawing = |page: Page| {
        let bars = lines.iter().rev().map(|(name, median, _)| (plain(name), *median));
        let bars = BarPlot::new()
            .with_bars(bars)
            .with_color(REACHED)
            .with_horizontal(true)
            .with_width(0.6)
            .with_asymmetric_error(lines.iter().rev().map(|(_, median, p90)| (0.0, (p90 - median).max(0.0))))
            .with_error_color(INK);
        draw(page, height_of(lines.len()), vec![bars.into()], |layout| {
            layout.with_x_label("Days").with_clamp_axis()
        })
    };
    let medians: Vec<_> = lines.iter().map(|(name, median, _)| format!("{name} {median:.1}")).collect();
    Some(Chart {
        label: format!("Bar chart of the median days in a stage: {}.", medians.join("; ")),
        legend: vec![
            Key { class: "reached", text: "half of the stays that are over were shorter".to_owned() },
            Key { class: "whisker", text: "nine of ten were shorter".to_owned() },
        ],
        drawings: [drawing(Page::Narrow), drawing(Page::Wide)],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{CurvePoint, FunnelStep};

    fn step(stage: &str, customers: i64) -> FunnelStep {
        FunnelStep {
            step: 1,
            stage: stage.to_owned(),
            source: None,
            customers,
            undecided: 1,
            conversion: Some(0.5),
            step_conversion: None,
            median_seconds: None,
        }
    }

    #[test]
    fn what_a_stage_is_called_is_text_and_no_markup() {
        let name = "<script>alert(1)</script>\"'&$x_1$";
        let report = Report { journey_funnel: vec![step(name, 3), step("active", 1)], ..Report::default() };
        let chart = funnel(&report).unwrap();
        for drawing in chart.drawings {
            assert!(!drawing.body.contains("<script"), "{}", drawing.body);
            assert!(drawing.body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{}", drawing.body);
            assert!(drawing.body.contains("$x 1$"), "{}", drawing.body);
            for forbidden in ["style=", "http", "<svg"] {
                assert!(!drawing.body.contains(forbidden), "{forbidden} is in {}", drawing.body);
            }
        }
    }

    #[test]
    fn what_there_is_nothing_of_is_not_drawn() {
        let report = Report { journey_funnel: vec![step("lead", 0)], ..Report::default() };
        assert!(funnel(&report).is_none() && curve(&report).is_none());
        assert!(sources(&report).is_none() && stages(&report).is_none());
    }

    #[test]
    fn a_curve_of_a_single_customer_is_drawn() {
        let point = CurvePoint {
            days: 1,
            at_risk: 1,
            subscribed: 1,
            censored: 0,
            waiting: 0.0,
            lower_limit: None,
            upper_limit: None,
        };
        let report = Report { time_to_subscription: vec![point], confidence: 0.95, ..Report::default() };
        let chart = curve(&report).unwrap();
        assert!(!chart.drawings[0].body.contains("NaN"), "{}", chart.drawings[0].body);
    }
}
