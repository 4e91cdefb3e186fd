extension Value {
    /// Lists within lists that are compared, printed or written.
    static let maximumDepth = 128

    /// Python's `==`; `meter` counts what is gone through.
    func equals(_ other: Value, _ meter: Interpreter, _ depth: Int = 0) throws -> Bool {
        guard depth < Self.maximumDepth else { throw Fault("values nest too deep to be compared", .limit) }
        switch (self, other) {
        case (.undefined, .undefined), (.none, .none): return true
        case (.text(let a), .text(let b)):
            try meter.spend(min(a.bytes.count, b.bytes.count) >> 6)
            return a == b
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            guard a.count == b.count else { return false }
            for index in a.indices {
                try meter.spend(1)
                if try !a[index].equals(b[index], meter, depth + 1) { return false }
            }
            return true
        case (.mapping(let a), .mapping(let b)): return try a.equals(b, meter, depth + 1)
        case (.range(let a), .range(let b)):
            return a.count == b.count
                && (a.count == 0 || a.start == b.start && (a.count == 1 || a.step == b.step))
        case (.view(let a), .view(let b)):
            if a.kind == .values || b.kind == .values { return false }
            guard a.kind == b.kind, a.mapping.count == b.mapping.count else { return false }
            if a.kind == .items { return try a.mapping.equals(b.mapping, meter, depth + 1) }
            try meter.spend(a.mapping.count)
            return try a.mapping.keys.allSatisfy { try b.mapping[$0.key()] != nil }
        default: break
        }
        if let a = integer, let b = other.integer { return a == b }
        if let a = double, let b = other.double {
            if let whole = integer { return Int(exactly: b) == whole }
            if let whole = other.integer { return Int(exactly: a) == whole }
            return a == b
        }
        return identity != nil && identity == other.identity
    }

    /// What tells values apart that are the same only as themselves; nil for others.
    var identity: ObjectIdentifier? {
        switch self {
        case .iterator(let value): ObjectIdentifier(value)
        case .namespace(let value): ObjectIdentifier(value)
        case .loop(let value): ObjectIdentifier(value)
        case .macro(let value): ObjectIdentifier(value)
        case .function(let value): ObjectIdentifier(value)
        case .cycler(let value): ObjectIdentifier(value)
        case .joiner(let value): ObjectIdentifier(value)
        default: nil
        }
    }

    /// Python's `<`: numbers, texts, and lists of them.
    func isLess(than other: Value, _ meter: Interpreter, _ sign: String = "<", _ depth: Int = 0) throws -> Bool {
        guard depth < Self.maximumDepth else { throw Fault("values nest too deep to be compared", .limit) }
        switch (self, other) {
        case (.text(let a), .text(let b)):
            try meter.spend(min(a.bytes.count, b.bytes.count) >> 6)
            return a < b
        case (.list(let a), .list(let b)), (.tuple(let a), .tuple(let b)):
            for index in 0..<min(a.count, b.count) {
                try meter.spend(1)
                if try !a[index].equals(b[index], meter, depth + 1) {
                    return try a[index].isLess(than: b[index], meter, sign, depth + 1)
                }
            }
            return a.count < b.count
        case (.undefined(let undefined), _), (_, .undefined(let undefined)): throw Fault(undefined.reason)
        default: break
        }
        if let a = integer, let b = other.integer { return a < b }
        if let a = double, let b = other.double { return a < b }
        throw Fault("'\(sign)' does not compare '\(typeName)' with '\(other.typeName)'")
    }

    /// Python's `<=`, which is not the negation of `>` where numbers are not comparable.
    func isAtMost(_ other: Value, _ meter: Interpreter, _ sign: String) throws -> Bool {
        if let a = double, let b = other.double, a.isNaN || b.isNaN { return false }
        return try !other.isLess(than: self, meter, sign)
    }

    /// Python's `in`, of `self` in `container`.
    func isIn(_ container: Value, _ meter: Interpreter) throws -> Bool {
        switch container {
        case .text(let text):
            guard case .text(let needle) = self else {
                throw Fault("'in' of a text needs a text, not '\(typeName)'")
            }
            try meter.spend(text.bytes.count >> 6)
            return text.contains(needle)
        case .mapping(let mapping): return try mapping[key()] != nil
        case .view(let view) where view.kind == .keys: return try view.mapping[key()] != nil
        case .range(let range):
            guard let number = double, let value = Int(exactly: number), range.count > 0 else { return false }
            let low = Swift.min(range.start, range.item(range.count - 1))
            let high = Swift.max(range.start, range.item(range.count - 1))
            return value >= low && value <= high && (value - range.start) % range.step == 0
        case .iterator(let iterator):
            while let element = try iterator.next() {
                try meter.spend(1)
                if try element.equals(self, meter) { return true }
            }
            return false
        default:
            guard container.isIterable else {
                throw Fault("'in' does not look into a value of type '\(container.typeName)'")
            }
            return try container.elements().contains {
                try meter.spend(1)
                return try $0.equals(self, meter)
            }
        }
    }
}
