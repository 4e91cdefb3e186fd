import Glibc

extension Interpreter {
    func sign(_ operand: Expression, isNegative: Bool, _ line: Int) throws -> Value {
        let value = try evaluate(operand)
        self.line = line
        if case .double(let number) = value { return .double(isNegative ? -number : number) }
        if case .undefined(let undefined) = value { throw Fault(undefined.reason) }
        guard let number = value.integer else {
            throw Fault("'\(isNegative ? "-" : "+")' needs a number, not a value of type '\(value.typeName)'")
        }
        return isNegative ? try calculate(.integer(0), .subtract, .integer(number)) : .integer(number)
    }

    func calculate(_ left: Value, _ sign: Expression.Arithmetic, _ right: Value) throws -> Value {
        if case .undefined(let undefined) = left { throw Fault(undefined.reason) }
        if case .text(let text) = left, sign == .remainder { return .text(try Formatting.percent(text, right, self)) }
        if case .undefined(let undefined) = right { throw Fault(undefined.reason) }
        if let a = left.integer, let b = right.integer { return try calculate(a, sign, b) }
        if let a = left.double, let b = right.double { return .double(try calculate(a, sign, b)) }
        switch (left, sign, right) {
        case (.text(let a), .add, .text(let b)):
            try checkSize(a.bytes.count + b.bytes.count)
            return .text(Self.sum(a, b))
        case (.list(let a), .add, .list(let b)):
            try checkCount(a.count + b.count)
            return .list(a + b)
        case (.tuple(let a), .add, .tuple(let b)):
            try checkCount(a.count + b.count)
            return .tuple(a + b)
        case (.text(let text), .multiply, _) where right.integer != nil: return try repeated(text, right.integer!)
        case (_, .multiply, .text(let text)) where left.integer != nil: return try repeated(text, left.integer!)
        case (.list(let items), .multiply, _) where right.integer != nil:
            return .list(try repeated(items, right.integer!))
        case (_, .multiply, .list(let items)) where left.integer != nil:
            return .list(try repeated(items, left.integer!))
        case (.tuple(let items), .multiply, _) where right.integer != nil:
            return .tuple(try repeated(items, right.integer!))
        case (_, .multiply, .tuple(let items)) where left.integer != nil:
            return .tuple(try repeated(items, left.integer!))
        default:
            throw Fault(
                "'\(sign.rawValue)' does not take values of types '\(left.typeName)' and '\(right.typeName)'")
        }
    }

    /// What joins a text that is marked as markup is escaped.
    static func sum(_ a: Text, _ b: Text) -> Text {
        guard a.isMarkup || b.isMarkup else { return a + b }
        return (a.escaped + b.escaped).marked(true)
    }

    private func repeated(_ text: Text, _ count: Int) throws -> Value {
        guard count > 0, !text.isEmpty else { return .text(Text.empty.marked(text.isMarkup)) }
        let (size, overflows) = text.bytes.count.multipliedReportingOverflow(by: count)
        try checkSize(overflows ? .max : size)
        return .text(Text(bytes: Self.repeated(text.bytes, size), isMarkup: text.isMarkup))
    }

    private func repeated(_ items: [Value], _ count: Int) throws -> [Value] {
        guard count > 0, !items.isEmpty else { return [] }
        let (size, overflows) = items.count.multipliedReportingOverflow(by: count)
        try checkCount(overflows ? .max : size)
        return Self.repeated(items, size)
    }

    /// The elements over and over, `size` of them.
    private static func repeated<Element>(_ elements: [Element], _ size: Int) -> [Element] {
        var result = elements
        result.reserveCapacity(size)
        while result.count < size { result += result[..<min(result.count, size - result.count)] }
        return result
    }

    private func calculate(_ a: Int, _ sign: Expression.Arithmetic, _ b: Int) throws -> Value {
        func checked(_ result: (partialValue: Int, overflow: Bool)) throws -> Value {
            guard !result.overflow else {
                throw Fault("the result of '\(sign.rawValue)' has more than 64 bits", .unsupported)
            }
            return .integer(result.partialValue)
        }
        func checkDivisor() throws { guard b != 0 else { throw Fault("'\(sign.rawValue)' divides by zero") } }
        switch sign {
        case .add: return try checked(a.addingReportingOverflow(b))
        case .subtract: return try checked(a.subtractingReportingOverflow(b))
        case .multiply: return try checked(a.multipliedReportingOverflow(by: b))
        case .divide:
            try checkDivisor()
            return .double(Double(a) / Double(b))
        case .divideFloor:
            try checkDivisor()
            let (quotient, overflow) = a.dividedReportingOverflow(by: b)
            if overflow { return try checked((0, true)) }
            return .integer(a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient)
        case .remainder:
            try checkDivisor()
            if b == -1 { return .integer(0) }
            let remainder = a % b
            return .integer(remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder)
        case .power:
            if b < 0 {
                guard a != 0 else { throw Fault("'**' raises zero to a negative power") }
                return .double(pow(Double(a), Double(b)))
            }
            var result = 1, base = a, exponent = b
            while exponent > 0 {
                if exponent & 1 == 1 {
                    guard case .integer(let product) = try checked(result.multipliedReportingOverflow(by: base)) else {
                        break
                    }
                    result = product
                }
                exponent >>= 1
                if exponent > 0 {
                    guard case .integer(let square) = try checked(base.multipliedReportingOverflow(by: base)) else {
                        break
                    }
                    base = square
                }
            }
            return .integer(result)
        }
    }

    private func calculate(_ a: Double, _ sign: Expression.Arithmetic, _ b: Double) throws -> Double {
        switch sign {
        case .add: return a + b
        case .subtract: return a - b
        case .multiply: return a * b
        case .divide:
            guard b != 0 else { throw Fault("'/' divides by zero") }
            return a / b
        case .divideFloor, .remainder:
            guard b != 0 else { throw Fault("'\(sign.rawValue)' divides by zero") }
            var remainder = fmod(a, b)
            var quotient = (a - remainder) / b
            if remainder != 0, (remainder < 0) != (b < 0) {
                remainder += b
                quotient -= 1
            }
            if sign == .remainder { return remainder == 0 ? Double(signOf: b, magnitudeOf: 0) : remainder }
            if quotient == 0 { return Double(signOf: a / b, magnitudeOf: 0) }
            let floored = quotient.rounded(.down)
            return quotient - floored > 0.5 ? floored + 1 : floored
        case .power:
            let result = pow(a, b)
            guard !result.isNaN || a.isNaN || b.isNaN else { throw Fault("'**' has no real result", .unsupported) }
            guard a != 0 || b >= 0 else { throw Fault("'**' raises zero to a negative power") }
            guard result.isFinite || !a.isFinite || !b.isFinite else { throw Fault("the result of '**' is too large") }
            return result
        }
    }
}

extension Text {
    /// The text with HTML's signs written as entities; markup stays as it is.
    var escaped: Text {
        if isMarkup { return self }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "&"): result += Array("&amp;".utf8)
            case UInt8(ascii: "<"): result += Array("&lt;".utf8)
            case UInt8(ascii: ">"): result += Array("&gt;".utf8)
            case UInt8(ascii: "'"): result += Array("&#39;".utf8)
            case UInt8(ascii: "\""): result += Array("&#34;".utf8)
            default: result.append(byte)
            }
        }
        return Text(bytes: result, isMarkup: true)
    }
}
