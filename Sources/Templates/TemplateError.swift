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
    /// Line in the template, from 1; 0: the template as a whole.
    package let line: Int
    /// What was wrong, naming the construct.
    package let reason: String

    package var message: String {
        // Of a template as a whole, the line is 0.
        (line > 0 ? "\(template), line \(line): \(reason)" : "\(template): \(reason)")
            + (kind == .unsupported && line > 0 ? "; name another template with data.template" : "")
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
    package var steps = 10_000_000
    /// Bytes of any one text, and of the result.
    package var textBytes = 1 << 24
    /// Elements of any one list.
    package var listCount = 1 << 18
    /// Bytes of the thread's stack: threads of Swift's pool have 512 KiB.
    package var stackBytes: UInt = 224 << 10

    package init() {}

    /// Items of a range, as Jinja's sandbox has it.
    static let rangeCount = 100_000
    /// Code points of a text that one goes through by them.
    static let characterCount = 1 << 18
    /// Values that hold others and are kept until the end.
    static let keptCount = 1 << 20
    /// Nested statements, and nested parts of an expression.
    static let nesting = 100
}
