//! Rust source, taken apart line by line into code, comment and the contents of literals.
//!
//! A small lexer, not a parser: enough to tell a word in the code from one in a string or a
//! comment, and a test from what it tests.
//!
//! # Invariants
//!
//! - Every line of the file is there, in order; its code has the columns of the original, with
//!   comments and the contents of literals blanked.
//! - An item behind `#[cfg(test)]` is a test, from the attribute to its closing brace or semicolon.
//!   So is a whole file named `tests.rs`, and everything below a folder `tests`.

/// One line of a file.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// What the compiler reads, without comments and the contents of literals.
    pub(super) code: String,
    /// What is in comments, documentation too.
    pub(super) comment: String,
    /// Whether it belongs to a test.
    pub(super) is_test: bool,
}

impl Line {
    pub(super) fn has_code(&self) -> bool {
        !self.code.trim().is_empty()
    }
}

/// Takes a file apart.
pub(super) fn lines(path: &str, text: &str) -> Vec<Line> {
    let mut lines = Lexer::default().run(text);
    let is_test_file =
        path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("tests/");
    if is_test_file {
        for line in &mut lines {
            line.is_test = true;
        }
    } else {
        mark_tests(&mut lines);
    }
    lines
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Mode {
    #[default]
    Code,
    LineComment,
    /// How deep block comments are nested.
    BlockComment(usize),
    Text,
    /// How many `#` close the literal.
    RawText(usize),
}

#[derive(Debug, Default)]
struct Lexer {
    mode: Mode,
    line: Line,
    done: Vec<Line>,
}

impl Lexer {
    fn run(mut self, text: &str) -> Vec<Line> {
        let symbols: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < symbols.len() {
            if symbols[at] == '\n' {
                if self.mode == Mode::LineComment {
                    self.mode = Mode::Code;
                }
                self.done.push(std::mem::take(&mut self.line));
                at += 1;
            } else {
                at += self.step(&symbols[at..]);
            }
        }
        if !self.line.code.is_empty() || !self.line.comment.is_empty() {
            self.done.push(self.line);
        }
        self.done
    }

    /// Takes what starts here, within the line, and says how many symbols that was.
    fn step(&mut self, rest: &[char]) -> usize {
        match self.mode {
            Mode::Code => self.code(rest),
            Mode::LineComment => self.comment(1, rest),
            Mode::BlockComment(depth) => match rest {
                ['*', '/', ..] => {
                    self.mode = if depth == 1 {
                        Mode::Code
                    } else {
                        Mode::BlockComment(depth - 1)
                    };
                    self.blank(2)
                }
                ['/', '*', ..] => {
                    self.mode = Mode::BlockComment(depth + 1);
                    self.blank(2)
                }
                _ => self.comment(1, rest),
            },
            Mode::Text => match rest {
                ['\\', next, ..] if *next != '\n' => self.blank(2),
                ['"', ..] => {
                    self.mode = Mode::Code;
                    self.keep(rest, 1)
                }
                _ => self.blank(1),
            },
            Mode::RawText(hashes) => {
                let closes = rest[0] == '"' && hashes_at(&rest[1..]) >= hashes;
                if closes {
                    self.mode = Mode::Code;
                    return self.keep(rest, 1 + hashes);
                }
                self.blank(1)
            }
        }
    }

    fn code(&mut self, rest: &[char]) -> usize {
        match rest {
            ['/', '/', ..] => {
                self.mode = Mode::LineComment;
                self.blank(2)
            }
            ['/', '*', ..] => {
                self.mode = Mode::BlockComment(1);
                self.blank(2)
            }
            ['"', ..] => {
                self.mode = Mode::Text;
                self.keep(rest, 1)
            }
            ['r', '"' | '#', ..] if self.starts_word() => self.raw_text(rest),
            ['b' | 'c', 'r', '"' | '#', ..] if self.starts_word() => self.keep(rest, 1),
            ['\'', ..] => {
                let length = character(rest);
                if length == 1 {
                    return self.keep(rest, 1);
                }
                self.keep(rest, 1);
                self.blank(length - 2);
                self.line.code.push('\'');
                length
            }
            _ => self.keep(rest, 1),
        }
    }

    /// `r"…"`, `r#"…"#`, or an identifier such as `r#type`.
    fn raw_text(&mut self, rest: &[char]) -> usize {
        let hashes = hashes_at(&rest[1..]);
        if rest.get(1 + hashes) == Some(&'"') {
            self.mode = Mode::RawText(hashes);
            return self.keep(rest, 2 + hashes);
        }
        self.keep(rest, 1)
    }

    /// Whether the last symbol could not be the inside of a word; `br"…"` has kept its `b`.
    fn starts_word(&self) -> bool {
        let mut before = self.line.code.chars().rev();
        match before.next() {
            Some('b' | 'c') => !before.next().is_some_and(is_word),
            Some(last) => !is_word(last),
            None => true,
        }
    }

    fn keep(&mut self, rest: &[char], count: usize) -> usize {
        self.line.code.extend(&rest[..count]);
        count
    }

    fn blank(&mut self, count: usize) -> usize {
        self.line.code.extend(std::iter::repeat_n(' ', count));
        count
    }

    fn comment(&mut self, count: usize, rest: &[char]) -> usize {
        self.line.comment.extend(&rest[..count]);
        self.blank(count)
    }
}

fn is_word(symbol: char) -> bool {
    symbol.is_alphanumeric() || symbol == '_'
}

fn hashes_at(rest: &[char]) -> usize {
    rest.iter().take_while(|symbol| **symbol == '#').count()
}

/// How long the character literal is that starts here; 1 for the quote of a lifetime.
fn character(rest: &[char]) -> usize {
    match rest {
        ['\'', '\\', escaped @ ..] => {
            // The first symbol after the backslash may itself be a quote.
            let end = escaped.iter().skip(1).position(|symbol| *symbol == '\'');
            end.map_or(1, |position| position + 4)
        }
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}

/// Marks what stands behind `#[cfg(test)]`.
fn mark_tests(lines: &mut [Line]) {
    let mut at = 0;
    while at < lines.len() {
        if lines[at].code.trim_start().starts_with("#[cfg(test)]") {
            let last = item_end(&lines[at..]) + at;
            for line in &mut lines[at..=last] {
                line.is_test = true;
            }
            at = last;
        }
        at += 1;
    }
}

/// The line, counted from the attribute, on which the item behind it ends.
fn item_end(lines: &[Line]) -> usize {
    let mut braces = 0_usize;
    let mut brackets = 0_usize;
    for (number, line) in lines.iter().enumerate() {
        for symbol in line.code.chars() {
            match symbol {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                '{' => braces += 1,
                '}' => {
                    braces = braces.saturating_sub(1);
                    if braces == 0 {
                        return number;
                    }
                }
                ';' if braces == 0 && brackets == 0 => return number,
                _ => {}
            }
        }
    }
    lines.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(text: &str) -> Vec<String> {
        let lines = lines("src/a.rs", text);
        lines
            .into_iter()
            .map(|line| line.code.trim_end().to_owned())
            .collect()
    }

    #[test]
    fn comments_are_not_code() {
        assert_eq!(code_of("let a = 1; // nsp"), ["let a = 1;"]);
        assert_eq!(code_of("a /* b /* c */ d\n e */ f"), ["a", "      f"]);
        assert_eq!(
            lines("src/a.rs", "/// What it is.")[0].comment,
            "/ What it is."
        );
    }

    #[test]
    fn the_contents_of_literals_are_not_code() {
        assert_eq!(
            code_of(r#"a("nsp \" // x", b)"#),
            [r#"a("           ", b)"#]
        );
        assert_eq!(
            code_of(r##"a(r#"n"s"#, 'x', '"', '\'')"##),
            [r##"a(r#"   "#, ' ', ' ', '  ')"##]
        );
        assert_eq!(code_of("a(b\"x\", br\"\\\", c)"), ["a(b\" \", br\" \", c)"]);
    }

    #[test]
    fn a_lifetime_opens_no_literal() {
        assert_eq!(
            code_of("fn a<'x>(b: &'x str) {}"),
            ["fn a<'x>(b: &'x str) {}"]
        );
    }

    #[test]
    fn text_over_several_lines_stays_text() {
        assert_eq!(
            code_of("a(\"one\ntwo // three\nfour\");\nb"),
            ["a(\"", "", "    \");", "b"]
        );
    }

    #[test]
    fn a_test_module_ends_at_its_own_brace() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { c(); }\n}\nfn d() {}\n";
        let marks: Vec<bool> = lines("src/a.rs", text)
            .iter()
            .map(|line| line.is_test)
            .collect();
        assert_eq!(marks, [false, true, true, true, true, false]);
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_ends_at_the_semicolon() {
        let text = "#[cfg(test)]\nmod tests;\nfn d() {}\n";
        let marks: Vec<bool> = lines("src/a.rs", text)
            .iter()
            .map(|line| line.is_test)
            .collect();
        assert_eq!(marks, [true, true, false]);
        assert!(lines("src/a/tests.rs", "fn a() {}")[0].is_test);
    }
}
