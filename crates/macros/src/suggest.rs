//! "Did you mean …?"

/// So many letters may be wrong before a word is a different one.
const MAX_DISTANCE: usize = 2;

/// The known word that `word` was probably meant to be.
pub(crate) fn closest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distances = known.iter().map(|known| (distance(word, known), *known));
    let (_, closest) = distances
        .filter(|(distance, _)| (1..=MAX_DISTANCE).contains(distance))
        .min()?;
    Some(closest)
}

/// What is said of a key that nobody knows.
pub(crate) fn unknown_key(word: &str, known: &[&str]) -> String {
    match closest(word, known) {
        Some(closest) => format!("unknown key `{word}`: did you mean `{closest}`?"),
        None => {
            let known: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
            format!("unknown key `{word}`: known here: {}", known.join(", "))
        }
    }
}

/// How many letters have to be added, taken away, replaced or swapped.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let replaced = row[j] + usize::from(a != b);
            let mut least = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_counts_letters() {
        for (one, other, expected) in [
            ("guard", "guard", 0),
            ("gaurd", "guard", 1),
            ("namespce", "namespace", 1),
            ("publik", "public", 1),
            ("", "abc", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }

    #[test]
    fn the_nearest_word_is_meant_if_it_is_near() {
        let known = ["namespace", "name", "public"];
        assert_eq!(closest("nam", &known), Some("name"));
        assert_eq!(closest("namspace", &known), Some("namespace"));
        assert_eq!(closest("path", &known), None);
        assert_eq!(closest("name", &["name"]), None, "that is the word itself");
    }
}
