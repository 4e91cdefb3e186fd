extension Unicode.Scalar {
    var isAlphabetic: Bool {
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    /// Python's `isalnum`: letters and whatever has a numeric value.
    var isAlphanumeric: Bool { isAlphabetic || properties.numericType != nil }

    fileprivate var isCased: Bool { properties.isLowercase || properties.isUppercase || isTitlecase }
    fileprivate var isTitlecase: Bool { properties.generalCategory == .titlecaseLetter }
}

extension Text {
    private func mapped(_ change: (Unicode.Scalar) -> String) -> Text {
        var bytes: [UInt8] = []
        for scalar in scalars { bytes += Array(change(scalar).utf8) }
        return Text(bytes: bytes, isMarkup: isMarkup)
    }

    var uppercased: Text { mapped { $0.properties.uppercaseMapping } }

    /// A sigma at the end of a word has a form of its own.
    var lowercased: Text {
        guard !isASCII else {
            return Text(bytes: bytes.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, isMarkup: isMarkup)
        }
        let scalars = Array(self.scalars)
        var result: [UInt8] = []
        for (index, scalar) in scalars.enumerated() {
            if scalar == "Σ" {
                result += Array((Self.isFinal(index, scalars) ? "ς" : "σ").utf8)
            } else {
                result += Array(scalar.properties.lowercaseMapping.utf8)
            }
        }
        return Text(bytes: result, isMarkup: isMarkup)
    }

    private static func isFinal(_ index: Int, _ scalars: [Unicode.Scalar]) -> Bool {
        let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
        let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
        return before?.isCased ?? false && !(after?.isCased ?? false)
    }

    /// The first code point in title case, the others small.
    var capitalized: Text {
        guard let first = scalars.first else { return self }
        let rest = Text(scalars: scalars.dropFirst())
        // The whole text decides what a sigma is.
        let lower = rest.lowercased
        return (Text(first.properties.titlecaseMapping) + lower).marked(isMarkup)
    }

    /// Python's `str.title`: every letter after something that is none begins a word.
    var titled: Text {
        var isInWord = false
        return mapped { scalar in
            defer { isInWord = scalar.isCased }
            return isInWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
        }
    }

    var caseSwapped: Text {
        mapped { scalar in
            scalar.properties.isUppercase
                ? scalar.properties.lowercaseMapping
                : scalar.properties.isLowercase ? scalar.properties.uppercaseMapping : String(scalar)
        }
    }

    var caseFolded: Text {
        // Full folding is lower case of upper case for all but a few signs; those few keep their own form.
        mapped { scalar in
            scalar == "ß" || scalar == "ẞ"
                ? "ss" : scalar == "ς" ? "σ" : scalar == "ſ" ? "s" : scalar.properties.lowercaseMapping
        }
    }

    /// Python's `islower`: some letters have a case, and none another one.
    var isLowercase: Bool {
        scalars.contains { $0.properties.isLowercase }
            && !scalars.contains { $0.properties.isUppercase || $0.isTitlecase }
    }

    var isUppercase: Bool {
        scalars.contains { $0.properties.isUppercase }
            && !scalars.contains { $0.properties.isLowercase || $0.isTitlecase }
    }

    var isTitled: Bool {
        var isInWord = false, found = false
        for scalar in scalars {
            if scalar.properties.isUppercase || scalar.isTitlecase {
                if isInWord { return false }
                (isInWord, found) = (true, true)
            } else if scalar.properties.isLowercase {
                if !isInWord { return false }
                found = true
            } else {
                isInWord = false
            }
        }
        return found
    }
}
