//! Rules about Markdown: one title, links that lead somewhere, decisions that can be found.
//!
//! # Invariants
//!
//! - What stands in a fenced block or in backticks is text, not Markdown.
//! - Links out of the checkout are not followed: no network is asked.

use std::path::Path;

use super::{File, Finding};

/// Where decisions are written down.
const DECISIONS: &str = "docs/adr/";

/// The papers from which a decision may be linked.
const INDEXES: &[&str] = &["ARCHITECTURE.md", "docs/adr/README.md"];

/// The rules for one file.
pub(super) fn check(file: &File, files: &[File], root: &Path) -> Vec<Finding> {
    let prose = prose(&file.text);
    let mut findings = titles(file, &prose);
    let links = if is_template(file) {
        Vec::new()
    } else {
        links(&prose)
    };
    for (number, target) in links {
        let problem = match resolve(&file.path, &target) {
            Some(path) => {
                let is_there = files.iter().any(|file| file.path == path);
                (!is_there && !root.join(&path).exists())
                    .then(|| format!("the link {target} leads nowhere; correct it"))
            }
            None => Some(format!(
                "the link {target} leaves the checkout; make it relative"
            )),
        };
        findings.extend(problem.map(|text| Finding::new(&file.path, number, text)));
    }
    findings
}

/// Markdown among the sources is written elsewhere by a program, and its links start there.
fn is_template(file: &File) -> bool {
    file.path.contains("/src/")
}

/// Decisions that no index links.
pub(super) fn unlinked_decisions(files: &[File]) -> Vec<Finding> {
    let linked: Vec<String> = files
        .iter()
        .filter(|file| INDEXES.contains(&file.path.as_str()))
        .flat_map(|file| {
            let targets = links(&prose(&file.text)).into_iter();
            targets.filter_map(|(_, target)| resolve(&file.path, &target))
        })
        .collect();
    files
        .iter()
        .filter(|file| file.path.starts_with(DECISIONS) && file.extension() == "md")
        .filter(|file| !INDEXES.contains(&file.path.as_str()))
        .filter(|file| !linked.contains(&file.path))
        .map(|file| {
            let text = format!(
                "no link leads to this decision; add one to {}",
                INDEXES.join(" or ")
            );
            Finding::new(&file.path, 1, text)
        })
        .collect()
}

/// The lines with their numbers, without fenced blocks and what is in backticks.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fence: Option<String> = None;
    let mut prose = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let marks: String = line
            .trim_start()
            .chars()
            .take_while(|symbol| *symbol == '`' || *symbol == '~')
            .collect();
        if let Some(open) = &fence {
            if marks.starts_with(open.as_str()) {
                fence = None;
            }
        } else if marks.len() >= 3 {
            fence = Some(marks);
        } else {
            let outside: Vec<&str> = line.split('`').step_by(2).collect();
            prose.push((number + 1, outside.join("`")));
        }
    }
    prose
}

fn titles(file: &File, prose: &[(usize, String)]) -> Vec<Finding> {
    let mut titles = prose.iter().filter(|(_, line)| line.starts_with("# "));
    if titles.next().is_none() {
        return vec![Finding::new(
            &file.path,
            1,
            "no title; start the file with one `# ` line",
        )];
    }
    titles
        .map(|(number, _)| {
            Finding::new(
                &file.path,
                *number,
                "a second title; make it a `## ` heading",
            )
        })
        .collect()
}

/// The targets of links into the checkout, without their fragments.
fn links(prose: &[(usize, String)]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose {
        let inline = line
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', ' ']).next());
        let defined = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
            .and_then(|(_, target)| target.split_whitespace().next());
        for target in inline.chain(defined) {
            let target = target.trim_matches(['<', '>']);
            let path = target.split(['#', '?']).next().unwrap_or_default();
            let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
            if !is_elsewhere && !path.is_empty() {
                found.push((*number, path.to_owned()));
            }
        }
    }
    found
}

/// The path from the root that `target`, seen from `file`, means; none when that is outside.
fn resolve(file: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn findings(text: &str) -> Vec<String> {
        let files = [
            file("docs/a.md", text),
            file("docs/adr/0001-a.md", ""),
            file("README.md", ""),
        ];
        let found = check(&files[0], &files, Path::new("no-such-folder"));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_has_exactly_one_title() {
        assert!(findings("# A\n\n## B\n").is_empty());
        assert!(findings("## B\n")[0].contains("no title"));
        assert!(findings("# A\n\n# B\n")[0].starts_with("docs/a.md:3: a second title"));
    }

    #[test]
    fn a_comment_in_a_fenced_block_is_no_title() {
        assert!(findings("# A\n\n```sh\n# not a title, no [link](nowhere.md)\n```\n").is_empty());
    }

    #[test]
    fn links_are_followed_from_where_they_stand() {
        let text = "# A\n[one](adr/0001-a.md#context) [two](../README.md) [three]\n\n\
                    [three]: ../docs/a.md\n[web](https://example.org/x) [here](#a)\n";
        assert_eq!(findings(text), Vec::<String>::new());
    }

    #[test]
    fn a_link_that_leads_nowhere_or_outside_is_found() {
        assert!(
            findings("# A\n[b](b.md)")[0].starts_with("docs/a.md:2: the link b.md leads nowhere")
        );
        assert!(findings("# A\n[b](../../b.md)")[0].contains("leaves the checkout"));
        assert!(findings("# A\n[b](/b.md)")[0].contains("leaves the checkout"));
        assert!(findings("# A\n`[b](b.md)`").is_empty());
    }

    #[test]
    fn links_of_a_template_start_where_it_is_written() {
        let template = file("bench/src/table.md", "# A\n[b](../bench/b.md)\n");
        assert_eq!(check(&template, &[], Path::new("no-such-folder")), []);
    }

    #[test]
    fn a_decision_that_nothing_links_is_found() {
        let files = [
            file("ARCHITECTURE.md", "# A\n[one](docs/adr/0001-a.md)\n"),
            file("docs/adr/0001-a.md", "# A\n"),
            file("docs/adr/0002-b.md", "# B\n"),
        ];
        let found = unlinked_decisions(&files);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].file, "docs/adr/0002-b.md");
    }
}
