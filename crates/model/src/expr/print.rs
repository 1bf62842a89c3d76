//! Expressions as readable text.

use super::{Expr, Label, Node, Op};
use crate::shape::Shape;

/// Longer texts and deeper expressions are cut: an error message is read by people.
const LONGEST: usize = 240;
const DEEPEST: usize = 24;

#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Binding {
    Sum,
    Product,
    Unary,
    Tight,
}

pub(super) fn node(node: &Node) -> String {
    let mut out = String::new();
    write(node, Binding::Sum, 0, &mut out);
    if out.len() > LONGEST {
        let mut end = LONGEST;
        while !out.is_char_boundary(end) {
            end -= 1;
        }
        out.truncate(end);
        out.push('…');
    }
    out
}

pub(super) fn numbers(shape: Shape, data: &[f64]) -> String {
    if shape.is_scalar() && data.len() == 1 {
        return data[0].to_string();
    }
    if shape.rank() == 1 && data.len() <= 4 {
        let text: Vec<String> = data.iter().map(f64::to_string).collect();
        return format!("[{}]", text.join(", "));
    }
    format!("constant{shape}")
}

fn write(node: &Node, around: Binding, depth: usize, out: &mut String) {
    // Everything behind the cut is thrown away; stop once there is enough.
    if depth > DEEPEST || out.len() > LONGEST {
        out.push('…');
        return;
    }
    let arg = |i: usize, around: Binding, out: &mut String| {
        write(&node.args[i].0, around, depth + 1, out);
    };
    let own = match &node.op {
        Op::Add => Binding::Sum,
        Op::Multiply | Op::Divide | Op::MatMul => Binding::Product,
        Op::Negate => Binding::Unary,
        Op::Constant(data) if data.first().is_some_and(|v| *v < 0.0) => Binding::Unary,
        _ => Binding::Tight,
    };
    let parenthesised = own < around;
    if parenthesised {
        out.push('(');
    }
    match &node.op {
        Op::Variable(leaf) | Op::Parameter(leaf) => out.push_str(&leaf.name),
        Op::Constant(data) => out.push_str(&numbers(node.shape, data)),
        Op::Add => {
            arg(0, Binding::Sum, out);
            let second = &node.args[1].0;
            if let Op::Negate = second.op {
                out.push_str(" - ");
                write(&second.args[0].0, Binding::Product, depth + 2, out);
            } else {
                out.push_str(" + ");
                arg(1, Binding::Sum, out);
            }
        }
        Op::Negate => {
            out.push('-');
            arg(0, Binding::Unary, out);
        }
        Op::Multiply | Op::Divide | Op::MatMul => {
            arg(0, Binding::Product, out);
            out.push_str(match node.op {
                Op::Multiply => " * ",
                Op::Divide => " / ",
                _ => " @ ",
            });
            arg(1, Binding::Unary, out);
        }
        Op::Linear(_, Label::Hidden) => arg(0, around, out),
        Op::Linear(_, Label::Index(index)) => {
            arg(0, Binding::Tight, out);
            out.push('[');
            out.push_str(index);
            out.push(']');
        }
        Op::Linear(_, Label::Call("kron", first)) => {
            out.push_str("kron(");
            out.push_str(first);
            out.push_str(", ");
            arg(0, Binding::Sum, out);
            out.push(')');
        }
        Op::Linear(_, Label::Call(name, rest)) => {
            let rest: &[String] = if rest.is_empty() {
                &[]
            } else {
                std::slice::from_ref(rest)
            };
            call(name, &node.args, rest, depth, out);
        }
        Op::Concat(name) => call(name, &node.args, &[], depth, out),
        Op::Atom(atom) => call(atom.name(), &node.args, &atom.settings(), depth, out),
    }
    if parenthesised {
        out.push(')');
    }
}

fn call(name: &str, args: &[Expr], rest: &[String], depth: usize, out: &mut String) {
    out.push_str(name);
    out.push('(');
    for (i, arg) in args.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        write(&arg.0, Binding::Sum, depth + 1, out);
    }
    for text in rest {
        out.push_str(", ");
        out.push_str(text);
    }
    out.push(')');
}
