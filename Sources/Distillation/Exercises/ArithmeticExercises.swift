/// Addition, subtraction and multiplication with every step written out, made for models of a few million parameters.
///
/// A prompt is `37+58=`. The response works from the last digit on, in steps of one fixed width, each a true equation of
/// digits and a carry, and gives the answer behind a colon:
///
///     37+58=7+8+0=15,3+5+1=09:95         a digit of each, the carry; the sum in two digits
///     52-38=12-8-0=04,05-3-1=01:14       ten borrowed or none, a digit, the borrow before; one digit after a zero
///     37*8=7*8+0=56,3*8+5=29:296         a digit, the factor, the carry; the product in two digits
///     37*48=7*8+0=56,3*8+5=29:296;7*4+0=28,3*4+2=14:1480;6+0+0=06,9+8+0=17,2+4+1=07,0+1+0=01:1776
///
/// So a model needs to find one digit of each operand, and one fact of a table with some hundred entries, at a time.
package struct ArithmeticExercises: Sendable, Equatable {
    /// An operation that is asked for.
    package enum Operation: String, Sendable, CaseIterable { case add, sub, mul }

    /// Operands have 1 ... digits digits, each length as often.
    var digits: Int
    var operations: [Operation]
    /// Digits of a product's second factor, at most.
    var factorDigits: Int
    /// Whether the response has steps, or the answer alone behind the colon.
    var hasSteps: Bool

    /// How much of the way to the answer a worked response shows.
    enum Style: String, Sendable, CaseIterable { case steps, answer }

    init(_ parameters: inout ExerciseParameters) throws(ExerciseError) {
        digits = try parameters.integer("digits", default: 2, 1...9)
        operations = try parameters.names("operations", default: Operation.allCases)
        factorDigits = try parameters.integer("factor_digits", default: 1, 1...9)
        let style = try parameters.names("style", default: [Style.steps])
        guard style.count == 1 else { throw ExerciseError("task arithmetic: style takes one of steps, answer") }
        hasSteps = style == [.steps]
    }

    func exercise(_ random: inout ExerciseRandom) -> Exercise {
        let operation = operations[random.below(operations.count)]
        var a = Self.number(digits, &random)
        var b = Self.number(operation == .mul ? factorDigits : digits, &random)
        if operation == .sub, a < b { swap(&a, &b) }
        let (sign, answer) =
            switch operation {
            case .add: ("+", a + b)
            case .sub: ("-", a - b)
            case .mul: ("*", a * b)
            }
        return Exercise(
            prompt: "\(a)\(sign)\(b)=", response: hasSteps ? Self.worked(operation, a, b) : ":\(answer)",
            check: AnswerCheck(known: "\(answer)", .exact(after: ":", ignoresCase: false)), tags: [operation.rawValue])
    }

    private static func number(_ digits: Int, _ random: inout ExerciseRandom) -> Int {
        let length = 1 + random.below(digits)
        let low = length == 1 ? 0 : power(length - 1)
        return low + random.below(power(length) - low)
    }

    private static func power(_ exponent: Int) -> Int { (0..<exponent).reduce(1) { value, _ in value * 10 } }

    package static func worked(_ operation: Operation, _ a: Int, _ b: Int) -> String {
        switch operation {
        case .add: sum(a, b)
        case .sub: difference(a, b)
        case .mul: product(a, b)
        }
    }

    /// Digits of a number from the last on, filled up with zeros.
    private static func reversed(_ number: Int, count: Int = 1) -> [Int] {
        var digits: [Int] = []
        var rest = number
        while rest > 0 || digits.count < count {
            digits.append(rest % 10)
            rest /= 10
        }
        return digits
    }

    private static func two(_ value: Int) -> String { "\(value / 10)\(value % 10)" }

    private static func sum(_ a: Int, _ b: Int) -> String {
        let count = max(reversed(a).count, reversed(b).count)
        var carry = 0
        let steps = zip(reversed(a, count: count), reversed(b, count: count)).map { x, y -> String in
            let total = x + y + carry
            defer { carry = total / 10 }
            return "\(x)+\(y)+\(carry)=\(two(total))"
        }
        return steps.joined(separator: ",") + ":\(a + b)"
    }

    private static func difference(_ a: Int, _ b: Int) -> String {
        let count = reversed(a).count
        var borrow = 0
        let steps = zip(reversed(a), reversed(b, count: count)).map { x, y -> String in
            let ten = x - y - borrow < 0 ? 1 : 0
            defer { borrow = ten }
            return "\(ten)\(x)-\(y)-\(borrow)=\(two(10 * ten + x - y - borrow))"
        }
        return steps.joined(separator: ",") + ":\(a - b)"
    }

    private static func product(_ a: Int, _ b: Int) -> String {
        var total = 0
        var parts: [String] = []
        for (place, factor) in reversed(b).enumerated() {
            var carry = 0
            let steps = reversed(a).map { x -> String in
                let value = x * factor + carry
                defer { carry = value / 10 }
                return "\(x)*\(factor)+\(carry)=\(two(value))"
            }
            let partial = a * factor * power(place)
            parts.append(steps.joined(separator: ",") + ":\(partial)")
            if place > 0 { parts.append(sum(total, partial)) }
            total += partial
        }
        return parts.joined(separator: ";")
    }

    var longest: (prompt: Int, response: Int) {
        let most = Self.power(digits) - 1
        let operands = operations.map { ($0, $0 == .mul ? Self.power(factorDigits) - 1 : $0 == .add ? most : 0) }
        let responses = operands.map { operation, b in
            hasSteps ? Self.worked(operation, most, b).utf8.count : 2 + digits + factorDigits
        }
        return (digits + 2 + max(digits, factorDigits), (responses.max() ?? 0))
    }
}
