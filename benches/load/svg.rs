//! Just enough SVG for the plots: lines, bars and words on a page of a fixed size.

use std::fmt::{Display, Write};

const WIDTH: f64 = 760.0;

/// Where a text begins, ends, or has its middle.
#[derive(Clone, Copy)]
pub enum Anchor {
    Start,
    Middle,
    End,
}

pub struct Svg {
    height: f64,
    body: String,
}

impl Svg {
    pub fn page(height: f64, title: &str) -> Self {
        let mut svg = Self { height, body: String::new() };
        let _ = write!(svg.body, "<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>");
        let _ = write!(svg.body, "<text x=\"20\" y=\"28\" font-size=\"16\">{}</text>", escaped(title));
        svg
    }

    pub fn line(&mut self, points: &[(f64, f64)], color: &str, width: f64) {
        let _ = write!(
            self.body,
            "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\" points=\""
        );
        for (x, y) in points {
            let _ = write!(self.body, "{x:.1},{y:.1} ");
        }
        self.body.push_str("\"/>");
    }

    /// From its upper left corner.
    pub fn bar(&mut self, corner: (f64, f64), size: (f64, f64), color: &str) {
        let ((x, y), (width, height)) = (corner, size);
        let _ = write!(
            self.body,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" fill=\"{color}\"/>"
        );
    }

    pub fn text(&mut self, at: (f64, f64), anchor: Anchor, words: impl Display) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let ((x, y), words) = (at, escaped(&words.to_string()));
        let _ = write!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
    }

    pub fn finish(self) -> String {
        let Self { height, body } = self;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
             font-size=\"12\" fill=\"#333\">{body}</svg>\n"
        )
    }
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;")
}
