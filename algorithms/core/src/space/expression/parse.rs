//! From text to a typed expression.

use super::tokens::{Misread, Placed, Token, tokens};
use super::{Arithmetic, Comparison, Function, Kind, Node, Resolved};

/// Most characters of a relation; bounds the depth of the tree and so the stack.
const MAX_LENGTH: usize = 2000;

/// Most nested parentheses, functions and prefix operators.
const MAX_DEPTH: usize = 64;

/// A relation with the parameters that it names, in order of first use.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::space) struct Parsed {
    pub(in crate::space) node: Node,
    pub(in crate::space) parameters: Vec<usize>,
    /// Whether it names a parameter that the space leaves out.
    pub(in crate::space) names_absent: bool,
}

/// Reads a relation; the error says where and why.
pub(in crate::space) fn parse(
    text: &str,
    resolve: &dyn Fn(&str) -> Option<Resolved>,
) -> Result<Parsed, String> {
    let placed = |(position, reason): Misread| format!("at character {position}: {reason}");
    if text.chars().count() > MAX_LENGTH {
        return Err(format!("a relation has at most {MAX_LENGTH} characters"));
    }
    let tokens = tokens(text, &|name| resolve(name).is_some()).map_err(placed)?;
    let mut parser =
        Parser { tokens, next: 0, depth: 0, resolve, parameters: Vec::new(), names_absent: false };
    let (node, kind) = parser.disjunction().map_err(placed)?;
    if parser.token() != &Token::End {
        return Err(placed(parser.unexpected("the end")));
    }
    if kind != Kind::Boolean {
        return Err(format!("a relation must be true or false, this is {}", kind.name()));
    }
    Ok(Parsed { node, parameters: parser.parameters, names_absent: parser.names_absent })
}

struct Parser<'a> {
    tokens: Vec<Placed>,
    next: usize,
    depth: usize,
    resolve: &'a dyn Fn(&str) -> Option<Resolved>,
    parameters: Vec<usize>,
    names_absent: bool,
}

type Typed = Result<(Node, Kind), Misread>;

impl Parser<'_> {
    fn token(&self) -> &Token {
        &self.tokens[self.next].token
    }

    fn position(&self) -> usize {
        self.tokens[self.next].position
    }

    fn advance(&mut self) -> Token {
        let token = self.token().clone();
        if token != Token::End {
            self.next += 1;
        }
        token
    }

    fn accept_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.token(), Token::Symbol(s) if *s == symbol);
        self.next += usize::from(found);
        found
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = matches!(self.token(), Token::Name(name) if name == word);
        self.next += usize::from(found);
        found
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<(), Misread> {
        if self.accept_symbol(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    fn unexpected(&self, expected: &str) -> Misread {
        let found = match self.token() {
            Token::Number(number) => format!("number {number}"),
            Token::Text(text) => format!("text {text:?}"),
            Token::Name(name) | Token::Quoted(name) => format!("`{name}`"),
            Token::Symbol(symbol) => format!("`{symbol}`"),
            Token::End => "the end".into(),
        };
        (self.position(), format!("expected {expected}, found {found}"))
    }

    fn nested(&mut self, inner: impl FnOnce(&mut Self) -> Typed) -> Typed {
        if self.depth == MAX_DEPTH {
            return Err((self.position(), format!("nested more than {MAX_DEPTH} deep")));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn disjunction(&mut self) -> Typed {
        self.truth_chain("or", Self::conjunction, Node::Or)
    }

    fn conjunction(&mut self) -> Typed {
        self.truth_chain("and", Self::negation, Node::And)
    }

    fn truth_chain(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Typed,
        join: fn(Vec<Node>) -> Node,
    ) -> Typed {
        let position = self.position();
        let (first, kind) = part(self)?;
        if !matches!(self.token(), Token::Name(name) if name == word) {
            return Ok((first, kind));
        }
        require(position, kind, Kind::Boolean, word)?;
        let mut parts = vec![first];
        while self.accept_word(word) {
            let position = self.position();
            let (node, kind) = part(self)?;
            require(position, kind, Kind::Boolean, word)?;
            parts.push(node);
        }
        Ok((join(parts), Kind::Boolean))
    }

    fn negation(&mut self) -> Typed {
        if !self.accept_word("not") {
            return self.comparison();
        }
        let position = self.position();
        let (node, kind) = self.nested(Self::negation)?;
        require(position, kind, Kind::Boolean, "not")?;
        Ok((Node::Not(Box::new(node)), Kind::Boolean))
    }

    fn comparison(&mut self) -> Typed {
        let (first, mut kind) = self.sum()?;
        let position = self.position();
        if self.accept_word("in") {
            return self.membership(first, kind);
        }
        if self.accept_word("not") {
            if !self.accept_word("in") {
                return Err(self.unexpected("`in`"));
            }
            let (node, _) = self.membership(first, kind)?;
            return Ok((Node::Not(Box::new(node)), Kind::Boolean));
        }
        let (mut operands, mut operators) = (vec![first], Vec::new());
        while let Some(operator) = self.comparison_operator() {
            let (right, right_kind) = self.sum()?;
            let ordered = !matches!(operator, Comparison::Equal | Comparison::NotEqual);
            if ordered && (kind, right_kind) != (Kind::Number, Kind::Number) {
                let reason = format!("only numbers have an order, not {}", other(kind, right_kind).name());
                return Err((position, reason));
            }
            check_equality(position, kind, right_kind)?;
            operands.push(right);
            operators.push(operator);
            kind = right_kind;
        }
        match operators.len() {
            0 => Ok((operands.remove(0), kind)),
            _ => Ok((Node::Compare(operands, operators), Kind::Boolean)),
        }
    }

    fn comparison_operator(&mut self) -> Option<Comparison> {
        let operator = match self.token() {
            Token::Symbol("<") => Comparison::Less,
            Token::Symbol("<=") => Comparison::AtMost,
            Token::Symbol(">") => Comparison::Greater,
            Token::Symbol(">=") => Comparison::AtLeast,
            Token::Symbol("==") => Comparison::Equal,
            Token::Symbol("!=") => Comparison::NotEqual,
            _ => return None,
        };
        self.next += 1;
        Some(operator)
    }

    fn membership(&mut self, node: Node, kind: Kind) -> Typed {
        self.expect_symbol("[")?;
        let mut options = Vec::new();
        loop {
            let position = self.position();
            let (option, option_kind) = self.sum()?;
            check_equality(position, kind, option_kind)?;
            options.push(option);
            if !self.accept_symbol(",") {
                break;
            }
        }
        self.expect_symbol("]")?;
        Ok((Node::In(Box::new(node), options), Kind::Boolean))
    }

    fn sum(&mut self) -> Typed {
        self.arithmetic(Self::product, &[("+", Arithmetic::Add), ("-", Arithmetic::Subtract)])
    }

    fn product(&mut self) -> Typed {
        self.arithmetic(Self::unary, &[("*", Arithmetic::Multiply), ("/", Arithmetic::Divide)])
    }

    fn arithmetic(&mut self, part: fn(&mut Self) -> Typed, operators: &[(&str, Arithmetic)]) -> Typed {
        let position = self.position();
        let (mut left, kind) = part(self)?;
        loop {
            let found = operators.iter().find(|(symbol, _)| self.accept_symbol(symbol));
            let Some((symbol, operator)) = found else { return Ok((left, kind)) };
            require(position, kind, Kind::Number, symbol)?;
            let right_position = self.position();
            let (right, right_kind) = part(self)?;
            require(right_position, right_kind, Kind::Number, symbol)?;
            left = Node::Arithmetic(*operator, Box::new(left), Box::new(right));
        }
    }

    fn unary(&mut self) -> Typed {
        if !self.accept_symbol("-") {
            return self.power();
        }
        let position = self.position();
        let (node, kind) = self.nested(Self::unary)?;
        require(position, kind, Kind::Number, "-")?;
        Ok((Node::Negate(Box::new(node)), Kind::Number))
    }

    fn power(&mut self) -> Typed {
        let position = self.position();
        let (base, kind) = self.atom()?;
        if !self.accept_symbol("**") {
            return Ok((base, kind));
        }
        require(position, kind, Kind::Number, "**")?;
        let position = self.position();
        let (exponent, kind) = self.nested(Self::unary)?;
        require(position, kind, Kind::Number, "**")?;
        Ok((Node::Arithmetic(Arithmetic::Power, Box::new(base), Box::new(exponent)), Kind::Number))
    }

    fn atom(&mut self) -> Typed {
        let position = self.position();
        match self.token().clone() {
            Token::Number(number) => {
                self.advance();
                Ok((Node::Number(number), Kind::Number))
            }
            Token::Text(text) => {
                self.advance();
                Ok((Node::Text(text), Kind::Text))
            }
            Token::Quoted(name) => {
                self.advance();
                self.parameter(position, &name)
            }
            Token::Name(name) => {
                self.advance();
                if let Some(function) = function(&name)
                    && self.accept_symbol("(")
                {
                    return self.nested(|parser| parser.call(position, &name, function));
                }
                match name.as_str() {
                    "true" => Ok((Node::Boolean(true), Kind::Boolean)),
                    "false" => Ok((Node::Boolean(false), Kind::Boolean)),
                    _ => self.parameter(position, &name),
                }
            }
            Token::Symbol("(") => {
                self.advance();
                let inner = self.nested(Self::disjunction)?;
                self.expect_symbol(")")?;
                Ok(inner)
            }
            Token::Symbol(_) | Token::End => Err(self.unexpected("a value")),
        }
    }

    fn parameter(&mut self, position: usize, name: &str) -> Typed {
        match (self.resolve)(name) {
            None => Err((position, format!("unknown parameter `{name}`"))),
            Some(Resolved::Absent(kind)) => {
                self.names_absent = true;
                // The relation is dropped as a whole; any node of this type will do.
                Ok((Node::Boolean(true), kind))
            }
            Some(Resolved::Parameter(index, kind)) => {
                let known = self.parameters.iter().position(|parameter| *parameter == index);
                let slot = known.unwrap_or_else(|| {
                    self.parameters.push(index);
                    self.parameters.len() - 1
                });
                Ok((Node::Parameter(slot), kind))
            }
        }
    }

    fn call(&mut self, position: usize, name: &str, function: Function) -> Typed {
        let mut arguments = Vec::new();
        loop {
            let position = self.position();
            let (argument, kind) = self.disjunction()?;
            require(position, kind, Kind::Number, name)?;
            arguments.push(argument);
            if !self.accept_symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        if !matches!(function, Function::Min | Function::Max) && arguments.len() != 1 {
            return Err((position, format!("`{name}` takes one argument, {} given", arguments.len())));
        }
        Ok((Node::Call(function, arguments), Kind::Number))
    }
}

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "min" => Function::Min,
        "max" => Function::Max,
        "abs" => Function::Abs,
        "log" => Function::Log,
        "exp" => Function::Exp,
        "sqrt" => Function::Sqrt,
        _ => return None,
    })
}

fn require(position: usize, found: Kind, wanted: Kind, operator: &str) -> Result<(), Misread> {
    if found == wanted {
        Ok(())
    } else {
        Err((position, format!("`{operator}` needs {}, this is {}", wanted.name(), found.name())))
    }
}

fn check_equality(position: usize, left: Kind, right: Kind) -> Result<(), Misread> {
    if left == right || left == Kind::Mixed || right == Kind::Mixed {
        Ok(())
    } else {
        Err((position, format!("cannot compare {} with {}", left.name(), right.name())))
    }
}

fn other(left: Kind, right: Kind) -> Kind {
    if left == Kind::Number { right } else { left }
}
