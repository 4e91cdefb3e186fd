extension Interpreter {
    /// `object.name`: Python's attribute, else the item of this name.
    func attribute(_ name: Text, of object: Value) throws -> Value {
        if case .undefined(let undefined) = object { throw Fault(undefined.reason) }
        if let value = try ownAttribute(name, of: object) { return value }
        if case .mapping(let mapping) = object, let value = mapping[name] { return value }
        return .undefined(.attribute("\(object.typeName)", name))
    }

    /// `object[index]`: Python's item, else the attribute of this name.
    func item(_ index: Value, of object: Value) throws -> Value {
        switch object {
        case .undefined(let undefined): throw Fault(undefined.reason)
        case .mapping(let mapping):
            if let key = try? index.key(), let value = mapping[key] { return value }
        case .list(let items), .tuple(let items):
            if let index = index.integer, let place = place(index, items.count) { return items[place] }
        case .text(let text):
            if let index = index.integer, let place = place(index, text.count) {
                return .text(text.slice(place..<(place + 1)))
            }
        case .range(let range):
            if let index = index.integer, let place = place(index, range.count) { return .integer(range.item(place)) }
        default: break
        }
        if case .text(let name) = index {
            if let value = try ownAttribute(name, of: object) { return value }
            return .undefined(.attribute(object.typeName, name))
        }
        return .undefined(.element(object.typeName, try index.represented().string))
    }

    private func place(_ index: Int, _ count: Int) -> Int? {
        let place = index < 0 ? index + count : index
        return (0..<count).contains(place) ? place : nil
    }

    private static let numberAttributes: Set<String> = [
        "real", "imag", "numerator", "denominator", "bit_length", "bit_count", "conjugate", "to_bytes", "from_bytes",
        "as_integer_ratio", "is_integer", "hex", "fromhex",
    ]

    /// What Python's type has under this name; nil: nothing.
    private func ownAttribute(_ name: Text, of object: Value) throws -> Value? {
        let string = name.string
        func method(_ names: Set<String>, unsafe: Set<String> = []) -> Value? {
            if names.contains(string) { return .method(Method(object, string)) }
            return unsafe.contains(string) ? .undefined(.unsafe(object.typeName, name)) : nil
        }
        switch object {
        case .text: return method(StringMethods.names)
        case .mapping: return method(ContainerMethods.mapping, unsafe: ContainerMethods.mappingChanges)
        case .list: return method(ContainerMethods.list, unsafe: ContainerMethods.listChanges)
        case .tuple(let items):
            // What 'groupby' gives has names for its two parts.
            if items.count == 2, string == "grouper" || string == "list", case .list = items[1] {
                return items[string == "grouper" ? 0 : 1]
            }
            return method(["count", "index"])
        case .namespace(let namespace): return namespace.attributes[name]
        case .loop(let loop): return try attribute(string, of: loop, object)
        case .macro(let macro):
            switch string {
            case "name": return macro.name.map { .text($0) } ?? Value.none
            case "arguments": return .tuple(macro.parameters.map { .text($0) })
            case "catch_kwargs": return .bool(macro.definition.usesKeywords)
            case "catch_varargs": return .bool(macro.definition.usesRest)
            case "caller": return .bool(macro.definition.usesCaller)
            default: return nil
            }
        case .range(let range):
            switch string {
            case "start": return .integer(range.start)
            case "stop": return .integer(range.stop)
            case "step": return .integer(range.step)
            default: return method(["count", "index"])
            }
        case .cycler(let cycler):
            if string == "current" { return cycler.items[cycler.position] }
            return method(["next", "reset"])
        case .integer, .double, .bool:
            guard Self.numberAttributes.contains(string) else { return nil }
            throw Fault("the attribute '\(string)' of numbers is not supported", .unsupported)
        default: return nil
        }
    }

    private func attribute(_ name: String, of loop: LoopState, _ value: Value) throws -> Value? {
        switch name {
        case "index": return .integer(loop.index + 1)
        case "index0": return .integer(loop.index)
        case "revindex": return .integer(loop.count - loop.index)
        case "revindex0": return .integer(loop.count - loop.index - 1)
        case "first": return .bool(loop.index == 0)
        case "last": return .bool(loop.index == loop.count - 1)
        case "length": return .integer(loop.count)
        case "depth": return .integer(loop.depth + 1)
        case "depth0": return .integer(loop.depth)
        case "previtem":
            return loop.index > 0 ? loop.items[loop.index - 1] : .undefined(.hint("there is no previous item"))
        case "nextitem":
            return loop.index + 1 < loop.count
                ? loop.items[loop.index + 1] : .undefined(.hint("there is no next item"))
        case "cycle", "changed": return .method(Method(value, name))
        default: return nil
        }
    }

    func call(_ method: Method, _ arguments: Arguments) throws -> Value {
        switch method.receiver {
        case .text(let text): return try StringMethods.call(method.name, text, arguments, self)
        case .loop(let loop):
            guard arguments.keywords.isEmpty else { throw Fault("'loop.\(method.name)' has no named arguments") }
            if method.name == "cycle" {
                guard !arguments.positional.isEmpty else { throw Fault("'loop.cycle' needs values") }
                return arguments.positional[max(loop.index, 0) % arguments.positional.count]
            }
            if let last = loop.lastChanged, try Value.tuple(last).equals(.tuple(arguments.positional), self) {
                return .bool(false)
            }
            try keep(.loop(loop))
            for value in arguments.positional { try keep(value) }
            loop.lastChanged = arguments.positional
            return .bool(true)
        case .cycler(let cycler):
            _ = try arguments.bind(method.name, [])
            let current = cycler.items[cycler.position]
            cycler.position = method.name == "next" ? (cycler.position + 1) % cycler.items.count : 0
            return method.name == "next" ? current : .none
        default: return try ContainerMethods.call(method.name, method.receiver, arguments, self)
        }
    }

    // MARK: Slices

    func slice(_ object: Value, _ bounds: (start: Value?, stop: Value?, step: Value?)) throws -> Value {
        func range(_ count: Int) throws -> RangeValue {
            let step = try bound(bounds.step) ?? 1
            guard step != 0 else { throw Fault("the step of a slice is 0") }
            func clamp(_ value: Int?, _ otherwise: Int) -> Int {
                guard let value else { return otherwise }
                let place = value < 0 ? value + count : value
                return step > 0 ? min(max(place, 0), count) : min(max(place, -1), count - 1)
            }
            let start = clamp(try bound(bounds.start), step > 0 ? 0 : count - 1)
            let stop = clamp(try bound(bounds.stop), step > 0 ? count : -1)
            return RangeValue(start: start, stop: stop, step: step)
        }
        func places(_ count: Int) throws -> [Int] {
            let range = try range(count)
            try spend(range.count >> 1)
            return (0..<range.count).map(range.item)
        }
        switch object {
        case .list(let items): return .list(try places(items.count).map { items[$0] })
        case .tuple(let items): return .tuple(try places(items.count).map { items[$0] })
        case .text(let text):
            let places = try places(text.count)
            try spend(text.bytes.count >> 6)
            guard let first = places.first, let last = places.last else {
                return .text(Text.empty.marked(text.isMarkup))
            }
            if last - first + 1 == places.count { return .text(text.slice(first..<(last + 1))) }
            if text.isASCII { return .text(Text(bytes: places.map { text.bytes[$0] }, isMarkup: text.isMarkup)) }
            let scalars = Array(text.scalars)
            return .text(Text(scalars: places.map { scalars[$0] }).marked(text.isMarkup))
        case .range(let whole):
            guard let part = whole.part(try range(whole.count)) else {
                throw Fault("a bound of the range has more than 64 bits", .unsupported)
            }
            return .range(part)
        case .undefined(let undefined): throw Fault(undefined.reason)
        default: throw Fault("a value of type '\(object.typeName)' has no slices")
        }
    }

    private func bound(_ value: Value?) throws -> Int? {
        guard let value, !value.isNone else { return nil }
        guard let integer = value.integer else {
            throw Fault("the bounds of a slice are integers, not a value of type '\(value.typeName)'")
        }
        // Far beyond any text, and far from overflow.
        return min(max(integer, -(1 << 40)), 1 << 40)
    }
}
