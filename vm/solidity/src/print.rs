//! Expressions and statements as Solidity text.

use crate::symbolic::{Arena, Definition, Expression, Id, Operator, Statement, Variable, camel_case};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

/// The maximum length of a line before a condition is broken up.
const LINE: usize = 110;

/// Prints the statements of one function.
pub struct Printer<'a> {
    arena: &'a Arena,
    names: HashMap<Variable, String>,
    /// Names that can't be declared again: those in scope, one set per block.
    scopes: Vec<HashSet<String>>,
    indent: usize,
    text: String,
}

/// Prints a library function with its doc comment.
#[must_use]
pub fn function(arena: &Arena, definition: &Definition) -> String {
    let mut printer = Printer::new(arena, 2);
    let params = printer.header(&definition.params);
    let results = printer.header(&definition.results);
    let mut text = comment(&format!("@dev {}", definition.function.doc));
    let name = camel_case(definition.function.name);
    let header = format!("    function {name}({params}) private pure returns ({results}) {{");
    if header.len() <= LINE {
        text = text + &header + "\n";
    } else {
        let split = format!("\n        {}\n    ", params.replace(", ", ",\n        "));
        let short = format!("    function {name}({params})").len() <= LINE;
        let params = if short { &params } else { &split };
        let _ = write!(text, "    function {name}({params})\n        private\n        pure\n");
        let _ = write!(text, "        returns ({results})\n    {{\n");
    }
    let _ = writeln!(text, "        unchecked {{");
    printer.indent = 3;
    printer.statements(&definition.body);
    text + &printer.text + "        }\n    }\n"
}

/// A doc comment of a member of the contract, rewrapped.
#[must_use]
pub fn comment(doc: &str) -> String {
    let mut lines = vec![String::from("    ///")];
    for word in doc.split_whitespace() {
        if lines.last().is_none_or(|line| line.len() + 1 + word.len() > LINE) {
            lines.push(String::from("    ///"));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

/// Prints statements at a depth of indentation; `reserved` are names that they may not declare.
#[must_use]
pub fn statements(arena: &Arena, statements: &[Statement], indent: usize, reserved: &[&str]) -> String {
    let mut printer = Printer::new(arena, indent);
    printer.scopes[0].extend(reserved.iter().map(|&name| name.to_owned()));
    printer.statements(statements);
    printer.text
}

impl<'a> Printer<'a> {
    fn new(arena: &'a Arena, indent: usize) -> Self {
        let functions =
            arena.functions.iter().map(|definition| camel_case(definition.function.name)).collect();
        Self { arena, names: HashMap::new(), scopes: vec![functions], indent, text: String::new() }
    }

    /// Parameters or results as they appear in a function's header.
    fn header(&mut self, variables: &[Variable]) -> String {
        let names: Vec<_> =
            variables.iter().map(|&variable| format!("uint256 {}", self.declare(variable))).collect();
        names.join(", ")
    }

    /// Gives a variable a name that is not in scope.
    fn declare(&mut self, variable: Variable) -> String {
        let wanted = camel_case(&self.arena.declaration(variable).name);
        let taken = |name: &String| self.scopes.iter().any(|scope| scope.contains(name));
        let name = std::iter::once(wanted.clone())
            .chain((2..).map(|i| format!("{wanted}{i}")))
            .find(|name| !taken(name))
            .unwrap_or(wanted);
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.clone());
        }
        self.names.insert(self.arena.resolve(variable), name.clone());
        name
    }

    fn name(&self, variable: Variable) -> String {
        let known = self.names.get(&self.arena.resolve(variable));
        known.cloned().unwrap_or_else(|| camel_case(&self.arena.declaration(variable).name))
    }

    fn is_declared(&self, variable: Variable) -> bool {
        self.names.contains_key(&self.arena.resolve(variable))
    }

    fn line(&mut self, line: &str) {
        let _ = writeln!(self.text, "{:width$}{line}", "", width = 4 * self.indent);
    }

    fn statements(&mut self, statements: &[Statement]) {
        for statement in statements {
            self.statement(statement);
        }
    }

    fn nested(&mut self, statements: &[Statement]) {
        self.indent += 1;
        self.scopes.push(HashSet::new());
        self.statements(statements);
        self.scopes.pop();
        self.indent -= 1;
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Let(variable, value) => {
                let head = self.target(*variable);
                self.assignment(&head, *value);
            }
            Statement::Assign(variable, value) => {
                let head = self.name(*variable);
                self.assignment(&head, *value);
            }
            Statement::LetCall(variables, function, args) => self.several(variables, function, args),
            Statement::Branch(condition, variables, then, otherwise) => {
                for &variable in variables {
                    if !self.is_declared(variable) {
                        let name = self.declare(variable);
                        self.line(&format!("uint256 {name};"));
                    }
                }
                self.broken("if (", *condition, ") {");
                self.nested(then);
                self.otherwise(otherwise);
            }
            Statement::Do(function, args) => self.effect(function, args),
            Statement::ReturnIf(condition, value) => {
                let line =
                    format!("if ({}) return {};", self.expression(*condition), self.expression(*value));
                self.line(&line);
            }
            Statement::Return(value) => self.broken("return ", *value, ";"),
        }
    }

    /// A call for its side effect.
    fn effect(&mut self, function: &str, args: &[Id]) {
        let line = format!("{};", self.call(function, args));
        if 4 * self.indent + line.len() <= LINE {
            self.line(&line);
        } else {
            self.broken_call(&format!("{function}("), args, ");");
        }
    }

    /// The `else` part of a branch; one that only branches again continues the chain.
    fn otherwise(&mut self, statements: &[Statement]) {
        if let [Statement::Branch(condition, variables, then, otherwise)] = statements
            && variables.iter().all(|&variable| self.is_declared(variable))
        {
            self.broken("} else if (", *condition, ") {");
            self.nested(then);
            return self.otherwise(otherwise);
        }
        self.line("} else {");
        self.nested(statements);
        self.line("}");
    }

    /// The left side of a declaration, or of an assignment if the variable is already declared.
    fn target(&mut self, variable: Variable) -> String {
        if self.is_declared(variable) {
            return self.name(variable);
        }
        let sort = if self.arena.declaration(variable).is_bool { "bool" } else { "uint256" };
        format!("{sort} {}", self.declare(variable))
    }

    fn assignment(&mut self, head: &str, value: Id) {
        self.broken(&format!("{head} = "), value, ";");
    }

    /// A line with an expression. If it is too long, it is broken up at the operator with the lowest
    /// precedence.
    fn broken(&mut self, before: &str, value: Id, after: &str) {
        let text = self.expression(value);
        if 4 * self.indent + before.len() + text.len() + after.len() <= LINE {
            return self.line(&format!("{before}{text}{after}"));
        }
        match *self.arena.expression(value) {
            Expression::Call(ref function, ref args) | Expression::Read(ref function, ref args, _) => {
                self.broken_call(&format!("{before}{function}("), args, &format!("){after}"));
            }
            Expression::Binary(operator, ..) => {
                let mut operands = Vec::new();
                self.operands(value, operator, &mut operands);
                let inner = usize::from(!before.is_empty());
                if inner == 1 {
                    self.line(before.trim_end());
                }
                self.indent += inner;
                let last = operands.len() - 1;
                for (i, operand) in operands.into_iter().enumerate() {
                    let sign = if i == 0 { String::new() } else { format!("{} ", symbol(operator)) };
                    self.operand_line(&sign, operand, operator, if i == last { after } else { "" });
                }
                self.indent -= inner;
            }
            Expression::Select(condition, a, b) => {
                self.broken(before, condition, "");
                self.indent += 1;
                self.broken("? ", a, "");
                self.broken(": ", b, after);
                self.indent -= 1;
            }
            _ => self.line(&format!("{before}{text}{after}")),
        }
    }

    /// A call whose arguments don't fit on one line.
    fn broken_call(&mut self, before: &str, args: &[Id], after: &str) {
        self.line(before);
        self.indent += 1;
        let texts: Vec<_> = args.iter().map(|&arg| self.expression(arg)).collect();
        let joined = texts.join(", ");
        if 4 * self.indent + joined.len() <= LINE {
            self.line(&joined);
        } else {
            for (i, &arg) in args.iter().enumerate() {
                self.broken("", arg, if i + 1 == args.len() { "" } else { "," });
            }
        }
        self.indent -= 1;
        self.line(after);
    }

    /// One operand of a long expression on its own line.
    fn operand_line(&mut self, sign: &str, operand: Id, parent: Operator, after: &str) {
        if self.operand(operand, parent, true).starts_with('(') && !self.is_call(operand) {
            self.broken(&format!("{sign}("), operand, &format!("){after}"));
        } else {
            self.broken(sign, operand, after);
        }
    }

    fn is_call(&self, id: Id) -> bool {
        matches!(self.arena.expression(id), Expression::Call(..) | Expression::Read(..))
    }

    /// The operands of a chain of one operator.
    fn operands(&self, id: Id, operator: Operator, operands: &mut Vec<Id>) {
        match *self.arena.expression(id) {
            Expression::Binary(inner, a, b) if inner == operator => {
                if needs_no_parentheses(operator, operator, false) {
                    self.operands(a, operator, operands);
                } else {
                    operands.push(a);
                }
                operands.push(b);
            }
            _ => operands.push(id),
        }
    }

    /// A call with several results. Those whose name starts with an underscore are dropped.
    fn several(&mut self, variables: &[Variable], function: &str, args: &[Id]) {
        let call = self.call(function, args);
        let dropped = |printer: &Self, variable| printer.arena.declaration(variable).name.starts_with('_');
        let all_new = variables.iter().all(|&variable| !self.is_declared(variable));
        if !all_new {
            for &variable in variables {
                if !self.is_declared(variable) && !dropped(self, variable) {
                    let name = self.declare(variable);
                    self.line(&format!("uint256 {name};"));
                }
            }
        }
        let names: Vec<_> = variables
            .iter()
            .map(|&variable| if dropped(self, variable) { String::new() } else { self.target(variable) })
            .collect();
        self.line(&format!("({}) = {call};", names.join(", ")));
    }

    fn call(&self, function: &str, args: &[Id]) -> String {
        let args: Vec<_> = args.iter().map(|&arg| self.expression(arg)).collect();
        format!("{function}({})", args.join(", "))
    }

    fn expression(&self, id: Id) -> String {
        match *self.arena.expression(id) {
            Expression::Constant(value) => number(value),
            Expression::Name(ref name) => name.clone(),
            Expression::Variable(variable) => self.name(variable),
            Expression::Binary(operator, a, b) => {
                format!(
                    "{} {} {}",
                    self.operand(a, operator, false),
                    symbol(operator),
                    self.operand(b, operator, true)
                )
            }
            Expression::Not(a) => match self.arena.expression(a) {
                Expression::Binary(..) | Expression::Select(..) => format!("!({})", self.expression(a)),
                _ => format!("!{}", self.expression(a)),
            },
            Expression::Select(condition, a, b) => {
                let [condition, a, b] = [condition, a, b].map(|part| self.choice_part(part));
                // With two literals, the choice would have eight bits.
                let literal = a.starts_with(char::is_numeric) && b.starts_with(char::is_numeric);
                let a = if literal { format!("uint256({a})") } else { a };
                format!("{condition} ? {a} : {b}")
            }
            Expression::Call(ref function, ref args) | Expression::Read(ref function, ref args, _) => {
                self.call(function, args)
            }
        }
    }

    /// A part of a conditional expression.
    fn choice_part(&self, id: Id) -> String {
        match self.arena.expression(id) {
            Expression::Select(..) => format!("({})", self.expression(id)),
            _ => self.expression(id),
        }
    }

    /// An operand, in parentheses if the precedence could be unclear to a reader.
    fn operand(&self, id: Id, parent: Operator, right: bool) -> String {
        let bare = match *self.arena.expression(id) {
            Expression::Binary(child, ..) => needs_no_parentheses(parent, child, right),
            Expression::Select(..) => false,
            _ => true,
        };
        let text = self.expression(id);
        if bare { text } else { format!("({text})") }
    }
}

fn needs_no_parentheses(parent: Operator, child: Operator, right: bool) -> bool {
    use Operator as O;
    let comparison = matches!(parent, O::Less | O::NotLess | O::Equal | O::NotEqual);
    match (parent, child) {
        (O::Add | O::Mul | O::And | O::Or | O::Xor | O::Both | O::Either, _) if parent == child && !right => {
            true
        }
        (O::Add | O::Sub, O::Add | O::Sub) => !right,
        (O::Add | O::Sub, O::Mul) => true,
        (O::Both | O::Either, O::Less | O::NotLess | O::Equal | O::NotEqual) => true,
        (_, O::Add | O::Sub | O::Mul) => comparison,
        _ => false,
    }
}

fn symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => "+",
        Operator::Sub => "-",
        Operator::Mul => "*",
        Operator::Div => "/",
        Operator::Rem => "%",
        Operator::Shl => "<<",
        Operator::Shr => ">>",
        Operator::And => "&",
        Operator::Xor => "^",
        Operator::Or => "|",
        Operator::Less => "<",
        Operator::NotLess => ">=",
        Operator::Equal => "==",
        Operator::NotEqual => "!=",
        Operator::Both => "&&",
        Operator::Either => "||",
    }
}

/// A number. The mask of a word is shown by its name, and large numbers in hexadecimal.
#[must_use]
pub fn number(value: u128) -> String {
    if value == u128::from(u64::MAX) {
        "WORD".to_owned()
    } else if value > 9999 {
        format!("0x{value:x}")
    } else {
        value.to_string()
    }
}
