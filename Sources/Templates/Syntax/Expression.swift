/// A part of a template that has a value.
struct Expression: Sendable {
    let form: Form
    let line: Int
    /// Expressions within expressions, at most ``TemplateLimits/nesting``.
    let depth: Int

    indirect enum Form: Sendable {
        case constant(Constant)
        /// A variable, by its number among the template's names.
        case name(Int)
        case tuple([Expression])
        case list([Expression])
        case dictionary([(key: Expression, value: Expression)])
        case attribute(Expression, Text)
        case item(Expression, Expression)
        case slice(Expression, start: Expression?, stop: Expression?, step: Expression?)
        case call(Expression, Call)
        /// A filter of a value; nil: of the text of the block that the filter stands before.
        case filter(Expression?, String, Call)
        case test(Expression, String, Call)
        case not(Expression)
        case negative(Expression)
        case positive(Expression)
        case and([Expression])
        case or([Expression])
        case comparison(Expression, [(Comparison, Expression)])
        /// Operators of one rank, from left to right.
        case arithmetic(Expression, [(Arithmetic, Expression)])
        /// `~`
        case joined([Expression])
        case condition(Expression, then: Expression, otherwise: Expression?)
    }

    enum Constant: Sendable {
        case none
        case bool(Bool)
        case integer(Int)
        case double(Double)
        case text(Text)
    }

    enum Comparison: Sendable {
        case equal, unequal, less, lessOrEqual, greater, greaterOrEqual, isIn, isNotIn
    }

    enum Arithmetic: String, Sendable {
        case add = "+"
        case subtract = "-"
        case multiply = "*"
        case divide = "/"
        case divideFloor = "//"
        case remainder = "%"
        case power = "**"
    }

    /// What stands in the parentheses of a call.
    struct Call: Sendable {
        var positional: [Expression] = []
        var keywords: [(name: String, value: Expression)] = []
        /// `*list`
        var list: Expression?
        /// `**mapping`
        var mapping: Expression?

        var expressions: [Expression] {
            positional + keywords.map(\.value) + [list, mapping].compactMap { $0 }
        }
    }

    /// The expressions that it is made of, in the order in which Jinja goes through them.
    var children: [Expression] {
        switch form {
        case .constant, .name: []
        case .tuple(let items), .list(let items), .and(let items), .or(let items), .joined(let items): items
        case .dictionary(let pairs): pairs.flatMap { [$0.key, $0.value] }
        case .attribute(let object, _): [object]
        case .item(let object, let index): [object, index]
        case .slice(let object, let start, let stop, let step): [object] + [start, stop, step].compactMap { $0 }
        case .call(let callee, let call): [callee] + call.expressions
        case .filter(let value, _, let call): [value].compactMap { $0 } + call.expressions
        case .test(let value, _, let call): [value] + call.expressions
        case .not(let value), .negative(let value), .positive(let value): [value]
        case .comparison(let first, let others): [first] + others.map(\.1)
        case .arithmetic(let first, let others): [first] + others.map(\.1)
        case .condition(let test, let then, let otherwise): [test, then] + [otherwise].compactMap { $0 }
        }
    }
}
