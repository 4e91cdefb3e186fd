/// A value of a template, with Python's types.
///
/// Lists and mappings never change: Jinja's sandbox refuses what would.
enum Value {
    case undefined(Undefined)
    case none
    case bool(Bool)
    case integer(Int)
    case double(Double)
    case text(Text)
    case list([Value])
    case tuple([Value])
    case mapping(Mapping)
    case range(RangeValue)
    case view(MappingView)
    /// Gone through once.
    case iterator(ValueIterator)
    case namespace(Namespace)
    case loop(LoopState)
    case macro(MacroValue)
    case function(Function)
    case method(Method)
    case cycler(Cycler)
    case joiner(Joiner)
}

/// Why a value is undefined, for those who use it.
enum Undefined {
    case variable(String)
    /// Type and name.
    case attribute(String, Text)
    /// Type and what was looked for.
    case element(String, String)
    case unsafe(String, Text)
    case hint(String)

    var reason: String {
        switch self {
        case .variable(let name): "'\(name)' is undefined"
        case .attribute(let type, let name): "a value of type '\(type)' has no attribute '\(name)'"
        case .element(let type, let element): "a value of type '\(type)' has no element \(element)"
        case .unsafe(let type, let name): "the attribute '\(name)' of a value of type '\(type)' is not for templates"
        case .hint(let hint): hint
        }
    }
}

/// Python's `range`.
struct RangeValue {
    var start: Int, stop: Int, step: Int

    var count: Int {
        let (span, width) =
            step > 0
            ? (stop.subtractingReportingOverflow(start), step) : (start.subtractingReportingOverflow(stop), 0 - step)
        guard !span.overflow else { return .max }
        return span.partialValue <= 0 ? 0 : (span.partialValue - 1) / width + 1
    }

    func item(_ index: Int) -> Int { start + index * step }
    var values: [Value] { (0..<count).map { .integer(item($0)) } }

    /// The items at these places; nil: a bound has more than 64 bits.
    func part(_ places: RangeValue) -> RangeValue? {
        func bound(_ place: Int) -> Int? {
            let (width, isWide) = place.multipliedReportingOverflow(by: step)
            let (bound, isFar) = start.addingReportingOverflow(width)
            return isWide || isFar ? nil : bound
        }
        let (product, isWide) = step.multipliedReportingOverflow(by: places.step)
        guard !isWide, product != .min, let first = bound(places.start), let end = bound(places.stop) else {
            return nil
        }
        return RangeValue(start: first, stop: end, step: product)
    }
}

/// What `keys`, `values` and `items` of a mapping give.
struct MappingView {
    enum Kind { case keys, values, items }
    let kind: Kind
    let mapping: Mapping

    var values: [Value] {
        switch kind {
        case .keys: mapping.keys
        case .values: mapping.values
        case .items: mapping.items
        }
    }
}

/// A sequence that is made while one goes through it, once.
final class ValueIterator {
    private var produce: () throws -> Value?
    let typeName: String

    init(typeName: String = "generator", _ produce: @escaping () throws -> Value?) {
        self.typeName = typeName
        self.produce = produce
    }

    convenience init(_ values: [Value], typeName: String = "generator") {
        var index = 0
        self.init(typeName: typeName) {
            guard index < values.count else { return nil }
            defer { index += 1 }
            return values[index]
        }
    }

    func next() throws -> Value? { try produce() }
}

/// What `namespace()` makes: the one value whose attributes are assigned to.
final class Namespace {
    var attributes = Mapping()
}

final class Cycler {
    let items: [Value]
    var position = 0
    init(_ items: [Value]) { self.items = items }
}

final class Joiner {
    let separator: Text
    var isUsed = false
    init(_ separator: Text) { self.separator = separator }
}

final class Function {
    let name: String
    let call: (Interpreter, Arguments) throws -> Value
    init(_ name: String, _ call: @escaping (Interpreter, Arguments) throws -> Value) {
        self.name = name
        self.call = call
    }
}

/// A method together with the value that it belongs to.
final class Method {
    let receiver: Value
    let name: String
    init(_ receiver: Value, _ name: String) {
        self.receiver = receiver
        self.name = name
    }
}

extension Value {
    static func text(_ string: String) -> Value { .text(Text(string)) }

    var isUndefined: Bool { if case .undefined = self { true } else { false } }
    var isNone: Bool { if case .none = self { true } else { false } }
    var text: Text? { if case .text(let text) = self { text } else { nil } }

    /// The value of integers and truth values; nil for others.
    var integer: Int? {
        switch self {
        case .integer(let value): value
        case .bool(let value): value ? 1 : 0
        default: nil
        }
    }

    /// The value of all numbers; nil for others.
    var double: Double? {
        if case .double(let value) = self { return value }
        return integer.map { Double($0) }
    }

    /// Python's name of the type.
    var typeName: String {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .integer: "int"
        case .double: "float"
        case .text(let text): text.isMarkup ? "Markup" : "str"
        case .list: "list"
        case .tuple: "tuple"
        case .mapping: "dict"
        case .range: "range"
        case .view(let view):
            switch view.kind {
            case .keys: "dict_keys"
            case .values: "dict_values"
            case .items: "dict_items"
            }
        case .iterator(let iterator): iterator.typeName
        case .namespace: "Namespace"
        case .loop: "LoopContext"
        case .macro: "Macro"
        case .function: "function"
        case .method: "method"
        case .cycler: "Cycler"
        case .joiner: "Joiner"
        }
    }

    /// Python's `bool()`.
    var isTrue: Bool {
        switch self {
        case .undefined, .none: false
        case .bool(let value): value
        case .integer(let value): value != 0
        case .double(let value): value != 0
        case .text(let text): !text.isEmpty
        case .list(let items), .tuple(let items): !items.isEmpty
        case .mapping(let mapping): mapping.count > 0
        case .range(let range): range.count > 0
        case .view(let view): view.mapping.count > 0
        case .loop(let loop): loop.count > 0
        case .iterator, .namespace, .macro, .function, .method, .cycler, .joiner: true
        }
    }

    /// Python's `len()`.
    func length() throws -> Int {
        switch self {
        case .undefined: return 0
        case .text(let text): return text.count
        case .list(let items), .tuple(let items): return items.count
        case .mapping(let mapping): return mapping.count
        case .range(let range): return range.count
        case .view(let view): return view.mapping.count
        case .loop(let loop): return loop.count
        default: throw Fault("a value of type '\(typeName)' has no length")
        }
    }

    /// What `for` goes through. Iterators are used up.
    func elements() throws -> [Value] {
        switch self {
        case .undefined: return []
        case .text(let text):
            guard text.count <= TemplateLimits.characterCount else {
                throw Fault("a text of \(text.count) characters is too long to be taken apart", .limit)
            }
            return text.marked(false).characters.map { .text($0) }
        case .list(let items), .tuple(let items): return items
        case .mapping(let mapping): return mapping.keys
        case .range(let range): return range.values
        case .view(let view): return view.values
        case .iterator(let iterator):
            var result: [Value] = []
            while let value = try iterator.next() { result.append(value) }
            return result
        default: throw Fault("a value of type '\(typeName)' cannot be gone through")
        }
    }

    var isIterable: Bool {
        switch self {
        case .undefined, .text, .list, .tuple, .mapping, .range, .view, .iterator, .loop: true
        default: false
        }
    }

    /// One value after the other, without making all of them first.
    func iterator() throws -> ValueIterator {
        if case .iterator(let iterator) = self { return iterator }
        return ValueIterator(try elements())
    }
}
