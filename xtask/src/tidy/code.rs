//! Rust text without its comments and strings, line for line.

/// The same text, with every character of a comment or of a literal made a blank.
///
/// Line breaks stay, so that a line number in the result is one in the source.
pub(super) fn only(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let blank = opaque(rest, code.chars().last());
        let taken = if blank > 0 { blank } else { first.len_utf8() };
        for c in rest[..taken].chars() {
            code.push(if blank > 0 && c != '\n' { ' ' } else { c });
        }
        rest = &rest[taken..];
    }
    code
}

/// How many bytes of a comment or literal begin here; none if code does.
fn opaque(rest: &str, before: Option<char>) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('"') {
        return string(rest);
    }
    // `r`, `br` and `cr` begin a raw string only where no longer word ends in them.
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word {
        for prefix in ["r", "br", "cr"] {
            if let Some(raw) = rest.strip_prefix(prefix).and_then(raw_string) {
                return prefix.len() + raw;
            }
        }
    }
    if rest.starts_with('\'') { character(rest) } else { 0 }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let body = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", &rest[..hashes]);
    let length = body.find(&end).map_or(body.len(), |at| at + end.len());
    Some(hashes + 1 + length)
}

/// A character literal; a lifetime is code.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            // Whatever is escaped stands before the quote that closes.
            chars.next();
            chars.find(|(_, c)| *c == '\'').map_or(rest.len(), |(at, _)| at + 1)
        }
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    fn check(source: &str, code: &str) {
        assert_eq!(super::only(source).split_whitespace().collect::<Vec<_>>().join(" "), code);
        assert_eq!(super::only(source).lines().count(), source.lines().count());
    }

    #[test]
    fn comments_are_not_code() {
        check("a(); // unsafe\nb(); /* unsafe /* deep */\n unsafe */ c();", "a(); b(); c();");
    }

    #[test]
    fn strings_are_not_code() {
        check(r#"a("un\"safe // not a comment"); b();"#, "a( ); b();");
    }

    #[test]
    fn raw_strings_end_where_they_say() {
        check("a(r#\"un\" safe\"#); br\"\\\"; var\"x\"", "a( ); ; var");
    }

    #[test]
    fn a_lifetime_is_code_and_a_character_is_not() {
        check(
            "fn f<'a>(x: &'a str) { ['\"', '\\'', 'é', 'a'] }",
            "fn f<'a>(x: &'a str) { [ , , , ] }",
        );
    }
}
