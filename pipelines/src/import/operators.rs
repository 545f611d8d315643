//! The little languages in which Actions, GitLab and Travis write conditions, as one tree.

/// A condition as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Or(Vec<Expression>),
    And(Vec<Expression>),
    Not(Box<Expression>),
    Compare {
        operator: Operator,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    Call {
        name: String,
        arguments: Vec<Expression>,
    },
    /// A name, as `github.ref` or `$CI_COMMIT_TAG`.
    Name(String),
    Text(String),
    Regex(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Matches,
    NotMatches,
    In,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Or,
    And,
    Not,
    Open,
    Close,
    Comma,
    Operator(Operator),
    Name(String),
    Text(String),
    Regex(String),
}

/// Reads a condition; nothing if it holds what none of the languages has.
pub(super) fn parse(text: &str) -> Option<Expression> {
    const TOKENS_MAX: usize = 500;
    let tokens = tokens(text)?;
    if tokens.len() > TOKENS_MAX {
        return None;
    }
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
    };
    let expression = parser.or()?;
    (parser.at == parser.tokens.len()).then_some(expression)
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '\'' | '"' => quoted(rest, first)?,
            // A `/` begins a pattern where a value may stand.
            '/' => regex(rest)?,
            _ => match symbol(rest) {
                Some(found) => found,
                None => word(rest, &tokens)?,
            },
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

fn symbol(rest: &str) -> Option<(Token, usize)> {
    let symbols = [
        ("||", Token::Or),
        ("&&", Token::And),
        ("==", Token::Operator(Operator::Equal)),
        ("!=", Token::Operator(Operator::NotEqual)),
        ("=~", Token::Operator(Operator::Matches)),
        ("!~", Token::Operator(Operator::NotMatches)),
        ("!", Token::Not),
        ("=", Token::Operator(Operator::Equal)),
    ];
    let mut symbols = symbols.into_iter();
    let found = symbols.find(|(symbol, _)| rest.starts_with(symbol));
    found.map(|(symbol, token)| (token, symbol.len()))
}

fn quoted(rest: &str, quote: char) -> Option<(Token, usize)> {
    let end = rest[1..].find(quote)? + 1;
    Some((Token::Text(rest[1..end].to_owned()), end + 1))
}

fn regex(rest: &str) -> Option<(Token, usize)> {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            '\\' if !escaped => escaped = true,
            '/' if !escaped => {
                // A flag such as `i` may follow.
                let flags = rest[at + 1..].chars();
                let flags = flags.take_while(char::is_ascii_lowercase).count();
                return Some((Token::Regex(rest[1..at].to_owned()), at + 1 + flags));
            }
            _ => escaped = false,
        }
    }
    None
}

/// A name, or a word of Travis' language.
fn word(rest: &str, before: &[Token]) -> Option<(Token, usize)> {
    let is_part = |c: char| c.is_alphanumeric() || "_.-$*[]{}/^+\\?'|".contains(c);
    // Behind `=~`, Travis allows a pattern without slashes.
    let is_regex = matches!(
        before.last(),
        Some(Token::Operator(Operator::Matches | Operator::NotMatches))
    );
    let is_end = |c: char| match is_regex {
        true => c.is_whitespace() || c == ')',
        false => !is_part(c) || c == '|',
    };
    let length = rest.find(is_end).unwrap_or(rest.len());
    let word = &rest[..length];
    let token = match word {
        "" => return None,
        word if is_regex => Token::Regex(word.to_owned()),
        "OR" => Token::Or,
        "AND" => Token::And,
        "NOT" => Token::Not,
        "IN" | "in" => Token::Operator(Operator::In),
        "IS" | "is" => Token::Operator(Operator::Equal),
        word => Token::Name(word.to_owned()),
    };
    Some((token, length))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn take(&mut self, token: &Token) -> bool {
        let found = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Option<Expression> {
        const DEPTH_MAX: usize = 32;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return None;
        }
        let mut parts = vec![self.and()?];
        while self.take(&Token::Or) {
            parts.push(self.and()?);
        }
        self.depth -= 1;
        Some(match parts.len() {
            1 => parts.remove(0),
            _ => Expression::Or(parts),
        })
    }

    fn and(&mut self) -> Option<Expression> {
        let mut parts = vec![self.comparison()?];
        while self.take(&Token::And) {
            parts.push(self.comparison()?);
        }
        Some(match parts.len() {
            1 => parts.remove(0),
            _ => Expression::And(parts),
        })
    }

    fn comparison(&mut self) -> Option<Expression> {
        let mut negations = 0;
        while self.take(&Token::Not) {
            negations += 1;
        }
        let mut result = self.value()?;
        // `NOT type = push` of Travis negates the whole, `!a == b` of Actions nobody writes.
        let mut is_negated = negations % 2 == 1;
        if self.take(&Token::Not) {
            // `NOT IN`
            is_negated = !is_negated;
        }
        if let Some(Token::Operator(operator)) = self.tokens.get(self.at).cloned() {
            self.at += 1;
            let right = match operator {
                Operator::In => self.list()?,
                _ => self.value()?,
            };
            result = Expression::Compare {
                operator,
                left: Box::new(result),
                right: Box::new(right),
            };
        }
        Some(match is_negated {
            true => Expression::Not(Box::new(result)),
            false => result,
        })
    }

    /// `(a, b)` behind `IN`.
    fn list(&mut self) -> Option<Expression> {
        let arguments = match self.take(&Token::Open) {
            true => self.arguments()?,
            false => return None,
        };
        let name = String::new();
        Some(Expression::Call { name, arguments })
    }

    fn arguments(&mut self) -> Option<Vec<Expression>> {
        let mut arguments = Vec::new();
        while !self.take(&Token::Close) {
            if !arguments.is_empty() && !self.take(&Token::Comma) {
                return None;
            }
            arguments.push(self.or()?);
        }
        Some(arguments)
    }

    fn value(&mut self) -> Option<Expression> {
        let token = self.tokens.get(self.at)?.clone();
        self.at += 1;
        match token {
            Token::Open => {
                let inner = self.or()?;
                self.take(&Token::Close).then_some(inner)
            }
            Token::Text(text) => Some(Expression::Text(text)),
            Token::Regex(regex) => Some(Expression::Regex(regex)),
            Token::Name(name) => match self.take(&Token::Open) {
                true => {
                    let arguments = self.arguments()?;
                    Some(Expression::Call { name, arguments })
                }
                false => Some(Expression::Name(name)),
            },
            Token::Or | Token::And | Token::Not | Token::Close | Token::Comma => None,
            Token::Operator(_) => None,
        }
    }
}
