import JSON

/// What the values of a table's column are, for formats whose columns have types.
package indirect enum ColumnType: Sendable, Equatable {
    /// Nothing but nulls.
    case none
    case bool, integer, number, text
    case list(ColumnType)
    /// Values of several kinds, and objects: each is a text of JSON.
    case json

    /// The deepest list within lists.
    private static let depth = 4

    package init(of value: JSONValue) { self.init(of: value, depth: Self.depth) }

    private init(of value: JSONValue, depth: Int) {
        switch value {
        case .null: self = .none
        case .bool: self = .bool
        case .integer: self = .integer
        case .number: self = .number
        case .string: self = .text
        case .object: self = .json
        case .array(let elements):
            guard depth > 0 else {
                self = .json
                return
            }
            self = .list(elements.reduce(.none) { $0.joined(with: ColumnType(of: $1, depth: depth - 1)) })
        }
    }

    /// The type of a column that has values of both.
    package func joined(with other: ColumnType) -> ColumnType {
        switch (self, other) {
        case (.none, let one), (let one, .none): one
        case (.integer, .number), (.number, .integer): .number
        case (.list(let a), .list(let b)): .list(a.joined(with: b))
        default: self == other ? self : .json
        }
    }

    /// As the writer of a format is told of it, such as `list<integer>`.
    package var name: String {
        switch self {
        case .none: "none"
        case .bool: "bool"
        case .integer: "integer"
        case .number: "number"
        case .text: "text"
        case .list(let element): "list<\(element.name)>"
        case .json: "json"
        }
    }

    /// A value of the column as JSON, where it has this type.
    package func json(_ value: JSONValue) -> String {
        switch (self, value) {
        case (_, .null): "null"
        case (.json, _): JSONText.string(value.text(pretty: false))
        case (.list(let element), .array(let values)): "[" + values.map(element.json).joined(separator: ",") + "]"
        default: value.text(pretty: false)
        }
    }
}
