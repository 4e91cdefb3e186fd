/// Renders one conversation by one template.
///
/// It counts what it does: templates come from strangers. What it makes holds itself at times (macros and the scopes they
/// were made in, namespaces), so ``finish()`` takes that apart.
final class Interpreter {
    enum Flow { case next, leaveLoop, continueLoop }

    let template: Template
    let limits: TemplateLimits
    let date: TemplateDate
    /// Variables of the conversation and functions of the language, by the number of the name.
    private let context: [Value?]
    var scope: Scope
    var output: [UInt8] = []
    /// The line of what is evaluated, for errors.
    var line = 1
    private var steps = 0
    private var stackStart: UInt = 0
    private var namespaces: [Namespace] = []
    private var scopes: [Scope] = []
    /// Values that hold others, in the order in which they were assigned.
    private var kept: [Value] = []

    init(
        _ template: Template, _ variables: [(name: String, value: Value)], date: TemplateDate, limits: TemplateLimits
    ) {
        self.template = template
        self.limits = limits
        self.date = date
        var values: [String: Value] = [:]
        for (name, value) in variables { values[name] = value }
        context = template.names.map { values[$0] ?? Functions.table[$0].map { .function($0()) } }
        scope = Scope(template.root, parent: nil)
    }

    func render() throws(TemplateError) -> String {
        var marker: UInt8 = 0
        stackStart = withUnsafeMutablePointer(to: &marker) { UInt(bitPattern: $0) }
        defer { finish() }
        do {
            enter(scope)
            _ = try run(template.body)
            return String(decoding: output, as: UTF8.self)
        } catch let fault as Fault {
            throw TemplateError(kind: fault.kind, template: template.name, line: line, reason: fault.reason)
        } catch let error as TemplateError {
            throw error
        } catch {
            throw TemplateError(kind: .failed, template: template.name, line: line, reason: "\(error)")
        }
    }

    private func finish() {
        for namespace in namespaces { namespace.attributes.removeAll() }
        for scope in scopes { scope.slots = scope.slots.map { _ in nil } }
        // One after the other, the newest first: a value that goes while nothing else holds what is in it takes that along,
        // and a chain of a hundred thousand would need as many frames of the stack.
        while let value = kept.popLast() {
            if case .loop(let loop) = value { loop.lastChanged = nil }
        }
    }

    /// Holds a value that holds others until the end, see ``finish()``.
    func keep(_ value: Value) throws {
        guard value.holdsContainers else { return }
        kept.append(value)
        try spend(1)
        guard kept.count <= TemplateLimits.keptCount else {
            throw Fault("more than \(TemplateLimits.keptCount) values that hold others", .limit)
        }
    }

    func makeNamespace(_ attributes: Mapping) -> Value {
        let namespace = Namespace()
        namespace.attributes = attributes
        namespaces.append(namespace)
        return .namespace(namespace)
    }

    // MARK: Limits

    func spend(_ count: Int) throws {
        steps += count
        guard steps <= limits.steps else {
            throw Fault("rendering takes more than \(limits.steps) steps", .limit)
        }
    }

    /// Counts a step that may hold others.
    func descend() throws {
        try spend(1)
        var marker: UInt8 = 0
        let here = withUnsafeMutablePointer(to: &marker) { UInt(bitPattern: $0) }
        guard max(stackStart, here) - min(stackStart, here) <= limits.stackBytes else {
            throw Fault("calls nest too deep", .limit)
        }
    }

    /// Counts a text that is made.
    func checkSize(_ bytes: Int) throws {
        guard bytes <= limits.textBytes else {
            throw Fault("a text of \(bytes) bytes is longer than \(limits.textBytes)", .limit)
        }
        try spend(bytes >> 5)
    }

    func checkCount(_ count: Int) throws {
        guard count <= limits.listCount else {
            throw Fault("a list of \(count) elements is longer than \(limits.listCount)", .limit)
        }
        try spend(count)
    }

    func write(_ text: Text) throws {
        try checkSize(text.bytes.count)
        output += text.bytes
        guard output.count <= limits.textBytes else {
            throw Fault("the text is longer than \(limits.textBytes) bytes", .limit)
        }
    }

    /// The text that `body` writes.
    func captured(_ body: () throws -> Void) throws -> Text {
        let before = output
        output = []
        defer { output = before }
        try body()
        return Text(bytes: output)
    }

    // MARK: Scopes

    /// Gives the variables of a scope what they hold at its beginning.
    func enter(_ scope: Scope) {
        for (place, origin) in scope.layout.origins.enumerated() {
            switch origin {
            case .parameter, .nothing: break
            case .context: scope.slots[place] = context[scope.layout.names[place]]
            case .outer: scope.slots[place] = scope.parent?.value(of: scope.layout.names[place])
            }
        }
        self.scope = scope
    }

    /// Runs `body` in a scope within the current one.
    func within<Result>(
        _ number: Int, parameters: [(Int, Value)] = [], _ body: () throws -> Result
    ) throws -> Result {
        let outer = scope
        defer { scope = outer }
        let inner = Scope(template.layouts[number], parent: outer)
        for (name, value) in parameters { inner.set(name, value) }
        enter(inner)
        return try body()
    }

    func variable(_ name: Int) -> Value { scope.value(of: name) ?? .undefined(.variable(template.names[name])) }

    func define(_ macro: Statement.Macro) -> Value {
        if scopes.last !== scope { scopes.append(scope) }
        return .macro(MacroValue(macro, names: template.names, scope: scope))
    }
}
