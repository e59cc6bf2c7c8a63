//! Greets people.

/// A greeting for `name`, or for everybody when it is blank.
pub fn greeting(name: &str) -> String {
    match name.trim() {
        "" => "Hello, everybody!".to_owned(),
        name => format!("Hello, {name}!"),
    }
}

#[cfg(test)]
mod tests {
    use super::greeting;

    #[test]
    fn a_blank_name_is_everybody() {
        assert_eq!(greeting("Ada"), "Hello, Ada!");
        assert_eq!(greeting(" "), "Hello, everybody!");
    }
}
