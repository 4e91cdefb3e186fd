/// Words for a POSIX shell.
package enum ShellWord {
    /// The word, in quotes when a shell would take it apart: one argument to the letter, whatever is in it.
    package static func quoted(_ word: String) -> String {
        let isPlain = word.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "/._-+=:,@".utf8.contains(byte)
            }
        }
        guard !isPlain || word.isEmpty else { return word }
        var quoted = "'"
        // By scalars: a quote that carries an accent is one character, and still a quote to the shell.
        for scalar in word.unicodeScalars {
            if scalar == "'" { quoted += "'\\''" } else { quoted.unicodeScalars.append(scalar) }
        }
        return quoted + "'"
    }

    /// The words as one line.
    package static func line(_ words: [String]) -> String { words.map(quoted).joined(separator: " ") }
}
