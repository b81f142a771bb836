//! Examples of the commands within commands, in one place. The others stand beside their options.

use clap::{Command, CommandFactory};

use super::Cli;

/// Where, and the lines.
const EXAMPLES: &[(&[&str], &[&str])] = &[
    (
        &["test"],
        &[
            "anteroom test radius --user alice                  as an appliance would",
            "anteroom test ldap --url ldaps://anteroom.corp.example.com --bind-name alice@corp.example.com",
        ],
    ),
    (
        &["user", "add"],
        &[
            "anteroom user add alice                            the directory says who that is",
            "anteroom user add bob --method call --phone \"+1 202 555 0111\" --extension 204",
            "anteroom user add carol --unique-id 6f1c7e0a-9c1b-4b54-8d43-4d2f7a9be001 --device-token -",
        ],
    ),
    (&["user", "list"], &["anteroom user list", "anteroom user list --json"]),
    (&["user", "show"], &["anteroom user show alice", "anteroom user show alice@corp.example.com --json"]),
    (
        &["user", "set"],
        &[
            "anteroom user set alice --method push --language fr",
            "anteroom user set alice --phone \"+1 202 555 0111\" --extension \"\"",
        ],
    ),
    (&["user", "disable"], &["anteroom user disable alice"]),
    (&["user", "enable"], &["anteroom user enable alice"]),
    (&["user", "remove"], &["anteroom user remove alice"]),
    (
        &["user", "block"],
        &[
            "anteroom user block alice --for 8h --reason \"laptop stolen\"       until this evening",
            "anteroom user block alice --reason \"has left\" --forever         until somebody unblocks her",
        ],
    ),
    (&["user", "unblock"], &["anteroom user unblock alice --reason \"new password\""]),
    (
        &["user", "bypass"],
        &[
            "anteroom user bypass alice --reason \"phone at home\"              once within five minutes",
            "anteroom user bypass alice --for 8h --reason \"phone at home\"     once within eight hours",
        ],
    ),
    (&["user", "release"], &["anteroom user release alice phone                  the import fills it again"]),
    (&["user", "history"], &["anteroom user history alice", "anteroom user history --limit 10 --json"]),
    (&["user", "export"], &["anteroom user export people.csv", "anteroom user export --json -"]),
    (&["user", "data"], &["anteroom user data alice"]),
    (&["user", "erase"], &["anteroom user erase alice --yes"]),
    (&["user", "token"], &["anteroom user token list alice", "anteroom user token add alice T-0001 --seed -"]),
    (
        &["user", "token", "list"],
        &["anteroom user token list                           all of them", "anteroom user token list alice"],
    ),
    (
        &["user", "token", "add"],
        &[
            "anteroom user token add alice T-0001 --seed -      the seed comes from standard input",
            "anteroom user token add alice H-0002 --seed - --counter 0 --digits 8",
        ],
    ),
    (
        &["user", "token", "assign"],
        &[
            "anteroom user token assign T-0001 bob",
            "anteroom user token assign T-0001                  nobody has it any more",
        ],
    ),
    (&["user", "token", "remove"], &["anteroom user token remove T-0001"]),
    (&["token", "list"], &["anteroom token list                           all of them", "anteroom token list alice"]),
    (
        &["token", "add"],
        &[
            "anteroom token add alice                           a new seed, shown once as a code to scan",
            "anteroom token add alice --output svg              the code as a picture",
            "anteroom token add alice T-0001 --seed -           the seed comes from standard input",
            "anteroom token add alice H-0002 --seed - --counter 0 --digits 8",
        ],
    ),
    (
        &["token", "assign"],
        &["anteroom token assign T-0001 bob", "anteroom token assign T-0001                  nobody has it any more"],
    ),
    (&["token", "remove"], &["anteroom token remove T-0001"]),
    (
        &["token", "import"],
        &[
            "anteroom token import tokens.csv --dry-run         what Microsoft documents",
            "anteroom token import vendor.pskc --passphrase-file vendor.txt",
        ],
    ),
    (&["token", "test"], &["anteroom token test T-0001                          the code comes from standard input"]),
    (&["token", "resync"], &["anteroom token resync T-0001                        two codes in a row, each on a line"]),
    (&["user", "token", "import"], &["anteroom token import tokens.csv"]),
    (&["user", "token", "test"], &["anteroom token test T-0001"]),
    (&["user", "token", "resync"], &["anteroom token resync T-0001"]),
    (
        &["user", "codes"],
        &[
            "anteroom user codes alice                          a new list; the one before is void",
            "anteroom user codes alice --left",
            "anteroom user codes alice --withdraw",
        ],
    ),
    (
        &["user", "code"],
        &[
            "anteroom user code alice --reason \"phone forgotten\"",
            "anteroom user code alice --for 3d --uses 5 --reason \"new phone is ordered\" --output codes",
            "anteroom user code alice --withdraw",
        ],
    ),
    (
        &["user", "pin"],
        &[
            "anteroom user pin alice --must-change              the PIN comes from standard input",
            "anteroom user pin alice --generate                 make one, show it once",
            "anteroom user pin alice --expire                   the next sign-in must change it",
            "anteroom user pin alice --clear",
        ],
    ),
    (&["user", "device"], &["anteroom user device add alice \"her phone\" --kind ios"]),
    (&["user", "device", "add"], &["anteroom user device add alice \"her phone\" --kind android --first"]),
    (&["user", "device", "remove"], &["anteroom user device remove alice \"her phone\""]),
    (
        &["import", "approve"],
        &["anteroom import approve --dry-run                  what would be done?", "anteroom import approve"],
    ),
    (&["import", "discard"], &["anteroom import discard"]),
    (&["import", "status"], &["anteroom import status", "anteroom import status --json"]),
    (&["keys", "show"], &["anteroom keys show"]),
    (&["keys", "add"], &["anteroom keys add                                  used from the next start on"]),
    (
        &["keys", "rotate"],
        &[
            "anteroom keys rotate                               add a key, and seal everything with it",
            "anteroom keys rotate --no-add",
        ],
    ),
    (&["keys", "forget"], &["anteroom keys forget                               those that seal nothing any more"]),
];

/// The whole command line, each command with its examples.
pub fn command() -> Command {
    EXAMPLES.iter().fold(Cli::command(), |command, (path, lines)| {
        let text = format!("Examples:\n  {}", lines.join("\n  "));
        explain(command, path, &text)
    })
}

fn explain(command: Command, path: &[&str], text: &str) -> Command {
    match path.split_first() {
        None => command.after_help(text.to_owned()),
        Some((first, rest)) => command.mut_subcommand(first, |inner| explain(inner, rest, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(command: &Command, visit: &mut impl FnMut(&Command)) {
        visit(command);
        command.get_subcommands().for_each(|inner| each(inner, visit));
    }

    /// The words of a line as a shell splits them, without what is said about it behind two spaces.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        let (mut word, mut quoted, mut begun) = (String::new(), false, false);
        let mut characters = line.trim().chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '"' => (quoted, begun) = (!quoted, true),
                ' ' if !quoted => {
                    if begun {
                        words.push(std::mem::take(&mut word));
                    }
                    begun = false;
                    if characters.peek() == Some(&' ') {
                        return words;
                    }
                }
                other => {
                    word.push(other);
                    begun = true;
                }
            }
        }
        if begun {
            words.push(word);
        }
        words
    }

    #[test]
    fn every_command_has_examples_and_each_of_them_is_one() {
        let mut examples = Vec::new();
        each(&command(), &mut |command| {
            let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let lines: Vec<_> =
                text.lines().map(str::trim).filter(|line| line.starts_with("anteroom ")).map(str::to_owned).collect();
            assert!(!lines.is_empty(), "{} has no examples", command.get_name());
            examples.extend(lines);
        });
        assert!(examples.len() > 60, "{}", examples.len());
        // What is piped or goes on in the next line is for a shell to read.
        for line in examples.iter().filter(|line| !line.contains(['>', '|', '&', '\\', '$', '<'])) {
            let parsed = command().try_get_matches_from(words(line));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    #[test]
    fn a_line_is_split_as_a_shell_does_and_what_is_said_about_it_left_out() {
        assert_eq!(words("a \"b c\" \"\" d    said about it"), ["a", "b c", "", "d"]);
    }
}
