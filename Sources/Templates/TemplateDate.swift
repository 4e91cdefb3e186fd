/// The moment that `strftime_now` tells of, so that a run renders the same whenever it goes on.
package struct TemplateDate: Sendable, Equatable {
    package var year: Int
    /// The month, counted from 1.
    package var month: Int
    package var day: Int
    package var hour = 0
    package var minute = 0
    package var second = 0

    package init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// A day that is in the calendar, as `2024-07-26`; nil for any other text.
    package init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.map(\.utf8.count) == [4, 2, 2], text.utf8.allSatisfy({ $0 == 0x2D || (0x30...0x39).contains($0) }),
            let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]), year > 0,
            (1...12).contains(month), day >= 1, day <= Self.days(in: month, of: year)
        else { return nil }
        self.init(year: year, month: month, day: day)
    }

    /// Seconds since 1970 in UTC.
    package init(secondsSinceEpoch seconds: Int) {
        let day = seconds / 86400 - (seconds % 86400 < 0 ? 1 : 0)
        let rest = seconds - day * 86400
        // Howard Hinnant's days-to-civil algorithm, with years that begin in March.
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        self.init(
            year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month: month,
            day: dayOfYear - (153 * shiftedMonth + 2) / 5 + 1, hour: rest / 3600, minute: rest / 60 % 60,
            second: rest % 60)
    }

    /// The day as `2024-07-26`.
    package var dayText: String { "\(Self.padded(year, 4))-\(Self.padded(month))-\(Self.padded(day))" }

    private static func padded(_ number: Int, _ width: Int = 2, _ fill: String = "0") -> String {
        let digits = String(number)
        return String(repeating: fill, count: max(0, width - digits.count)) + digits
    }

    private static func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    private static func days(in month: Int, of year: Int) -> Int {
        [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    }

    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ]
    private static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]

    /// The day of the week, counted from 0, Sunday, by Sakamoto's formula.
    private var weekday: Int {
        let year = month < 3 ? year - 1 : year
        return (year + year / 4 - year / 100 + year / 400 + [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4][month - 1] + day) % 7
    }

    private var dayOfYear: Int { (1..<month).reduce(day) { $0 + Self.days(in: $1, of: year) } }

    /// C's `strftime` in English.
    func formatted(_ format: String) throws -> Text {
        guard format.utf8.count <= 4096 else { throw Fault("a format of \(format.utf8.count) bytes", .limit) }
        var result = ""
        var scalars = format.unicodeScalars[...]
        while let scalar = scalars.popFirst() {
            guard scalar == "%" else {
                result.unicodeScalars.append(scalar)
                continue
            }
            let dropsZeros = scalars.first == "-"
            if dropsZeros { scalars.removeFirst() }
            guard let letter = scalars.popFirst() else { throw Fault("a format ends in '%'", .unsupported) }
            let text = try self.text(of: letter)
            result += dropsZeros ? Self.withoutZeros(text) : text
        }
        return Text(result)
    }

    private static func withoutZeros(_ text: String) -> String {
        let rest = text.drop { $0 == "0" || $0 == " " }
        return text.isEmpty || !rest.isEmpty ? String(rest) : "0"
    }

    private func text(of letter: Unicode.Scalar) throws -> String {
        let hour12 = hour % 12 == 0 ? 12 : hour % 12
        let weekdayName = Self.weekdays[weekday], monthName = Self.months[month - 1]
        return switch letter {
        case "Y": String(year)
        case "y": Self.padded(year % 100)
        case "m": Self.padded(month)
        case "d": Self.padded(day)
        case "e": Self.padded(day, 2, " ")
        case "j": Self.padded(dayOfYear, 3)
        case "B": monthName
        case "b", "h": String(monthName.prefix(3))
        case "A": weekdayName
        case "a": String(weekdayName.prefix(3))
        case "w": String(weekday)
        case "u": String(weekday == 0 ? 7 : weekday)
        case "H": Self.padded(hour)
        case "I": Self.padded(hour12)
        case "M": Self.padded(minute)
        case "S": Self.padded(second)
        case "f": "000000"
        case "p": hour < 12 ? "AM" : "PM"
        case "F": dayText
        case "T": "\(Self.padded(hour)):\(Self.padded(minute)):\(Self.padded(second))"
        case "R": "\(Self.padded(hour)):\(Self.padded(minute))"
        case "D": "\(Self.padded(month))/\(Self.padded(day))/\(Self.padded(year % 100))"
        case "Z", "z": ""
        case "n": "\n"
        case "t": "\t"
        case "%": "%"
        default: throw Fault("the format '%\(letter)' of 'strftime_now' is not supported", .unsupported)
        }
    }
}
