//! Just enough XML to write AWS's responses.

/// Collects a document.
pub struct XmlWriter(String);

impl XmlWriter {
    /// An empty document.
    pub fn new() -> XmlWriter {
        XmlWriter(String::with_capacity(512))
    }

    /// Opens the outermost element.
    pub fn open_root(&mut self, name: &str, namespace: Option<&str>) {
        match namespace {
            Some(namespace) => {
                self.0.push('<');
                self.0.push_str(name);
                self.0.push_str(" xmlns=\"");
                self.escape(namespace);
                self.0.push_str("\">");
            }
            None => self.open(name),
        }
    }

    /// Opens an element.
    pub fn open(&mut self, name: &str) {
        self.0.push('<');
        self.0.push_str(name);
        self.0.push('>');
    }

    /// Closes an element.
    pub fn close(&mut self, name: &str) {
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// A whole element with a text.
    pub fn text_element(&mut self, name: &str, text: &str) {
        self.open(name);
        self.escape(text);
        self.close(name);
    }

    /// The document.
    pub fn finish(self) -> String {
        self.0
    }

    fn escape(&mut self, text: &str) {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                // A bare carriage return would be read as a line feed.
                '\r' => self.0.push_str("&#xD;"),
                '\n' | '\t' => self.0.push(letter),
                // XML 1.0 has no way to write these.
                '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                _ => self.0.push(letter),
            }
        }
    }
}
