/// A part of a template that does something.
indirect enum Statement: Sendable {
    case text(Text)
    case output(Expression)
    case set(Target, Expression)
    /// `{% set x %}...{% endset %}`
    case setBlock(Target, filter: Expression?, body: Block)
    case choice([(condition: Expression, body: [Statement])], otherwise: [Statement])
    case loop(Loop)
    case macro(Macro)
    /// `{% call(...) f() %}...{% endcall %}`; the macro is what `caller` stands for.
    case call(Macro, Expression)
    case filter(Expression, body: Block)
    case with([(target: Target, value: Expression)], body: Block)
    /// `{% generation %}`: its text is the assistant's.
    case generation(Block)
    case leaveLoop
    case continueLoop

    /// What is assigned to.
    indirect enum Target: Sendable {
        case name(Int)
        /// An attribute of a namespace.
        case attribute(of: Int, Text)
        case tuple([Target])
    }

    /// Statements with variables of their own, by number among the template's scopes.
    struct Block: Sendable {
        var scope: Int
        var body: [Statement] = []
    }

    struct Loop: Sendable {
        var target: Target
        var sequence: Expression
        var condition: Expression?
        /// Where the condition is evaluated.
        var conditionScope: Int
        var isRecursive: Bool
        var body: Block
        /// What is done when nothing was gone through to its end.
        var otherwise: Block?
        var line: Int
    }

    struct Macro: Sendable {
        /// The macro's name; nil for the body of a call.
        var name: Int?
        var parameters: [Int]
        /// The values of the last parameters where a call does not give them.
        var defaults: [Expression]
        var body: Block
        var line: Int
        var usesCaller = false
        var usesKeywords = false
        var usesRest = false
    }
}
