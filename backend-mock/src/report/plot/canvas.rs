//! Rectangles and text in fractions of a pixel, drawn with plotters' SVG backend.

use plotters::prelude::{DrawingBackend, IntoFont, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, TextStyle};

use super::theme::{self, Ink};

/// plotters counts in whole units: this many make a pixel.
const UNITS: f64 = 8.0;
const FONTS: &str = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif";

/// Which end of a text is at its point.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Left,
    Middle,
    Right,
}

/// A picture under way. Drawing into a string cannot fail, so results are dropped.
pub(super) struct Canvas {
    size: (f64, f64),
    marks: Vec<Mark>,
}

enum Mark {
    Rect { from: (i32, i32), to: (i32, i32), ink: Ink },
    Text { text: String, at: (i32, i32), size: f64, bold: bool, ink: Ink, anchor: Anchor },
}

fn units(pixels: f64) -> i32 {
    // The cast saturates.
    (pixels * UNITS).round() as i32
}

/// About how wide a text is, in pixels.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * 0.54
}

impl Canvas {
    pub(super) fn new(width: f64, height: f64) -> Canvas {
        Canvas { size: (width, height), marks: Vec::new() }
    }

    pub(super) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, ink: Ink) {
        let from = (units(x), units(y));
        let to = (units(x + width).max(from.0 + 1), units(y + height).max(from.1 + 1));
        self.marks.push(Mark::Rect { from, to, ink });
    }

    /// `y` is the middle of the line.
    #[allow(clippy::too_many_arguments)] // a text has that many properties
    pub(super) fn text(&mut self, text: &str, x: f64, y: f64, size: f64, bold: bool, ink: Ink, anchor: Anchor) {
        self.marks.push(Mark::Text { text: text.into(), at: (units(x), units(y)), size, bold, ink, anchor });
    }

    /// The SVG text.
    pub(super) fn finish(self, title: &str) -> String {
        let (width, height) = self.size;
        let (unit_width, unit_height) = ((width * UNITS) as u32, (height * UNITS) as u32);
        let mut drawn = String::new();
        {
            let mut backend = SVGBackend::with_string(&mut drawn, (unit_width, unit_height));
            for mark in &self.marks {
                mark.draw(&mut backend);
            }
            let _ = backend.present();
        }
        // The backend's own first tag says pixels where these are units; ours also carries title, style and card.
        let marks = drawn.split_once(">\n").map_or("", |(_, marks)| marks);
        // Said once for all, or the default: a third of the size.
        let mut marks = marks.to_string();
        for repeated in [" font-family=\"sans-serif\"", " opacity=\"1\"", " stroke=\"none\""] {
            marks = marks.replace(repeated, "");
        }
        let (card, border) = (Ink::Card.hex(), Ink::Border.hex());
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {unit_width} {unit_height}\" role=\"img\" font-family=\"{FONTS}\">\n<title>{}</title>\n<style>{}</style>\n\
             <rect x=\"4\" y=\"4\" width=\"{}\" height=\"{}\" rx=\"80\" fill=\"{card}\" stroke=\"{border}\" \
             stroke-width=\"8\"/>\n{marks}",
            escape(title),
            theme::style_sheet(),
            unit_width.saturating_sub(8),
            unit_height.saturating_sub(8),
        )
    }
}

impl Mark {
    fn draw(&self, backend: &mut SVGBackend<'_>) {
        match self {
            Mark::Rect { from, to, ink } => {
                let _ = backend.draw_rect(*from, *to, &ink.colour().to_backend_color(), true);
            }
            Mark::Text { text, at, size, bold, ink, anchor } => {
                let horizontal = match anchor {
                    Anchor::Left => HPos::Left,
                    Anchor::Middle => HPos::Center,
                    Anchor::Right => HPos::Right,
                };
                // plotters divides by 1.24 to turn its notion of size into SVG's.
                let font = ("sans-serif", size * UNITS * 1.24).into_font();
                let font = if *bold { font.style(FontStyle::Bold) } else { font };
                let colour = ink.colour();
                let style = TextStyle::from(font).color(&colour).pos(Pos::new(horizontal, VPos::Center));
                let _ = backend.draw_text(text, &style, *at);
            }
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
