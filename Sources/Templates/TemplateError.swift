import Wording

/// Why a template is refused or cannot be rendered, and where.
package struct TemplateError: MessageError, Equatable {
    package enum Kind: String, Sendable {
        /// The text is not a template of the language.
        case syntax
        /// The template uses what this interpreter does not have.
        case unsupported
        /// The template asked for something that has no result, such as an attribute of an undefined value.
        case failed
        /// The template refused the conversation itself, with `raise_exception`.
        case raised
        /// The template takes more steps, depth, memory or text than any real one.
        case limit
    }

    package let kind: Kind
    /// The file or name of the template.
    package let template: String
    /// Line in the template, from 1.
    package let line: Int
    /// What was wrong, naming the construct.
    package let reason: String

    package var message: String {
        kind == .unsupported
            ? "\(template), line \(line): \(reason); name another template with data.template"
            : "\(template), line \(line): \(reason)"
    }
}

/// An error that has no place yet: the interpreter knows the line.
struct Fault: Error {
    var kind = TemplateError.Kind.failed
    var reason: String

    init(_ reason: String, _ kind: TemplateError.Kind = .failed) {
        self.kind = kind
        self.reason = reason
    }
}

/// What a template may use: templates come from strangers.
package struct TemplateLimits: Sendable {
    /// Bytes of a template; real ones have up to 20 KB.
    package var sourceBytes = 1 << 19
    /// Evaluated parts of a template, and handled bytes by the dozen.
    package var steps = 20_000_000
    /// Bytes of any one text, and of the result.
    package var textBytes = 1 << 24
    /// Elements of any one list.
    package var listCount = 1 << 20
    /// Bytes of the thread's stack: threads of Swift's pool have 512 KiB.
    package var stackBytes: UInt = 224 << 10

    package init() {}

    /// Items of a range, as Jinja's sandbox has it.
    static let rangeCount = 100_000
    /// Nested statements, and nested parts of an expression.
    static let nesting = 100
}
