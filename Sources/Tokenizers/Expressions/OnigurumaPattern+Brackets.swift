extension OnigurumaPattern {
    /// A set of characters: what stands between brackets, which are sets that `&&` joins.
    struct CharacterSet {
        var isNegated = false
        /// Sets whose common characters are meant; there is at least one.
        var sides = [Side()]

        /// Characters of which any is meant.
        struct Side {
            /// What stands between PCRE2's brackets.
            var items = ""
            /// Expressions of one character each, for what PCRE2's brackets cannot hold.
            var others: [String] = []
        }
    }

    /// An expression of one character: where brackets do not reach, alternatives and lookaheads say the same.
    func text(of set: CharacterSet) -> String {
        if let side = set.sides.first, set.sides.count == 1, side.others.isEmpty {
            return "[\(set.isNegated ? "^" : "")\(side.items)]"
        }
        var sides = set.sides.map { side in
            let parts = (side.items.isEmpty ? [] : ["[\(side.items)]"]) + side.others
            return parts.count == 1 ? parts[0] : "(?:\(parts.joined(separator: "|")))"
        }
        let last = sides.removeLast()
        let all = sides.map { "(?=\($0))" }.joined() + last
        return set.isNegated ? "(?:(?!\(all))(?s:.))" : "(?:\(all))"
    }

    /// One thing between brackets.
    private enum Item {
        case character(Unicode.Scalar)
        /// Several, which no range begins or ends with.
        case several(String)
        /// An expression of one character.
        case other(String)
        case nested(CharacterSet)
    }

    /// A set whose opening bracket is taken.
    mutating func bracket(depth: Int = 0) throws(TokenizerError) -> CharacterSet {
        guard depth < 8 else { throw unsupported("more than 8 brackets within each other") }
        var set = CharacterSet()
        set.isNegated = take("^")
        var side = CharacterSet.Side()
        var isFirst = true
        while true {
            guard next != nil else { throw unsupported("a bracket without an end") }
            let isEnd = !isFirst && take("]")
            if isEnd || take("&&") {
                guard !side.items.isEmpty || !side.others.isEmpty else {
                    throw unsupported("'&&' with nothing on a side of it")
                }
                set.sides[set.sides.count - 1] = side
                if isEnd { return set }
                side = CharacterSet.Side()
                set.sides.append(side)
                isFirst = false
                continue
            }
            let item = try item(depth: depth)
            isFirst = false
            switch item {
            case .several(let text): side.items += text
            case .other(let expression): side.others.append(expression)
            case .nested(let nested):
                if nested.isNegated || nested.sides.count > 1 {
                    side.others.append(text(of: nested))
                } else {
                    side.items += nested.sides[0].items
                    side.others += nested.sides[0].others
                }
            case .character(let first):
                guard peek("-"), !peek("-]"), !peek("-["), !peek("-&&") else {
                    try check(first...first)
                    side.items += Self.inBrackets(first)
                    continue
                }
                position += 1
                guard case .character(let last) = try self.item(depth: depth), first <= last else {
                    throw unsupported("a range between brackets that is none")
                }
                try check(first...last)
                side.items += "\(Self.inBrackets(first))-\(Self.inBrackets(last))"
            }
        }
    }

    private mutating func item(depth: Int) throws(TokenizerError) -> Item {
        guard let scalar = next else { throw unsupported("a bracket without an end") }
        if take("[:") {
            let isNegated = take("^")
            let name = take(while: Self.isLetter)
            let isOfOneCase = name == "upper" || name == "lower"
            guard take(":]"), let items = Self.posixSets[name], !(isOfOneCase && ignoresCase) else {
                throw unsupported("'[:\(isNegated ? "^" : "")\(name):]'")
            }
            return isNegated ? .other("[^\(items)]") : .several(items)
        }
        position += 1
        if scalar == "[" { return .nested(try bracket(depth: depth + 1)) }
        guard scalar == "\\" else { return .character(scalar) }
        guard let escape = next else { throw unsupported("a backslash at the end") }
        position += 1
        switch escape {
        case "s", "S", "d", "D": return .several("\\\(escape)")
        case "w": return .several(Self.word)
        case "W": return .other("[^\(Self.word)]")
        case "h": return .several(Self.hexDigits)
        case "p", "P":
            let property = try property(isNegated: escape == "P")
            let isOfOneCase = ["{Lu}", "{Ll}", "{Lt}", "{Uppercase}", "{Lowercase}"].contains { property.hasSuffix($0) }
            guard !(isOfOneCase && ignoresCase) else {
                throw unsupported("'\(property)' between brackets where case is ignored")
            }
            return .several(property)
        case "n": return .character("\n")
        case "t": return .character("\t")
        case "r": return .character("\r")
        case "f": return .character("\u{C}")
        case "v": return .character("\u{B}")
        case "a": return .character("\u{7}")
        case "e": return .character("\u{1B}")
        case "b": return .character("\u{8}")
        case "x", "u": return .character(try codePoint(escape))
        default:
            guard !Self.isLetter(escape), !("0"..."9").contains(escape) else { throw unsupported("'[\\\(escape)]'") }
            return .character(escape)
        }
    }

    private static let posixSets = [
        "alpha": #"\p{Alphabetic}"#, "alnum": #"\p{Alphabetic}\p{Nd}"#, "word": word, "digit": #"\p{Nd}"#,
        "upper": #"\p{Uppercase}"#, "lower": #"\p{Lowercase}"#, "punct": #"\p{P}\p{S}"#, "space": #"\s"#,
        "xdigit": hexDigits, "cntrl": #"\p{Cc}"#, "blank": #"\p{Zs}\t"#,
    ]

    /// Where case is ignored, letters that are several in the other case have no place in a set.
    private func check(_ range: ClosedRange<Unicode.Scalar>) throws(TokenizerError) {
        guard ignoresCase, range.upperBound.value >= 0x80 else { return }
        guard let first = Self.severalInOneCase.first(where: { range.contains($0) }) else { return }
        throw unsupported("'\(first)' between brackets where case is ignored")
    }

    /// What ``foldsToSeveral(_:)`` holds of, in order.
    private static let severalInOneCase = (0x80...0x1FFFF).compactMap(Unicode.Scalar.init).filter(foldsToSeveral)

    private static func inBrackets(_ scalar: Unicode.Scalar) -> String {
        switch scalar {
        case "[", "]", "\\", "^", "-", "&": "\\\(scalar)"
        default: scalar.value < 0x20 || scalar.value == 0x7F ? escaped(scalar) : String(scalar)
        }
    }
}
