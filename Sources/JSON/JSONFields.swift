/// A member of a JSON object is missing, or has another kind of value than it should.
package struct JSONFieldError: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
    package init(description: String) { self.description = description }
}

/// Reads the members of a JSON object, each as the type that it should have. Members that nobody asks for are ignored:
/// a later version may write more.
package struct JSONFields: Sendable {
    private let members: [String: JSONValue]

    /// Throws for a value that is no object.
    package init(_ value: JSONValue) throws(JSONFieldError) {
        guard let object = value.object else {
            throw JSONFieldError(description: "an object should stand here, not \(value.kindName)")
        }
        members = Dictionary(object.members.map { ($0.key, $0.value) }) { first, _ in first }
    }

    /// Throws for a text that is no object in JSON.
    package init(_ text: [UInt8]) throws(JSONFieldError) {
        let value: JSONValue
        do { value = try JSONValue.parse(text) } catch { throw JSONFieldError(description: error.description) }
        try self.init(value)
    }

    /// Whether there is a member with a value other than null.
    package func has(_ name: String) -> Bool { members[name].map { !$0.isNull } ?? false }

    package func string(_ name: String) throws(JSONFieldError) -> String { try value(name, "a string") { $0.string } }

    package func bool(_ name: String) throws(JSONFieldError) -> Bool { try value(name, "true or false") { $0.bool } }

    package func integer<Integer: FixedWidthInteger>(
        _ name: String, as type: Integer.Type = Integer.self
    ) throws(JSONFieldError) -> Integer {
        try value(name, "a whole number") { Self.integer($0) }
    }

    /// A number; not a number (NaN) for null, as numbers that are not finite are written.
    package func double(_ name: String) throws(JSONFieldError) -> Double {
        try value(name, "a number") { $0.isNull ? .nan : $0.double }
    }

    /// A number; nil for null and where there is no such member.
    package func optionalDouble(_ name: String) throws(JSONFieldError) -> Double? {
        has(name) ? try double(name) : nil
    }

    /// All members by their names, each a number; not a number (NaN) for null.
    package func doubles() throws(JSONFieldError) -> [String: Double] {
        var values: [String: Double] = [:]
        for name in members.keys { values[name] = try double(name) }
        return values
    }

    package func array<Element>(
        _ name: String, of kind: String, _ element: (JSONValue) -> Element?
    ) throws(JSONFieldError) -> [Element] {
        try value(name, "an array of \(kind)") { value in
            guard let values = value.array else { return nil }
            let elements = values.compactMap(element)
            return elements.count == values.count ? elements : nil
        }
    }

    package func integers<Integer: FixedWidthInteger>(
        _ name: String, as type: Integer.Type = Integer.self
    ) throws(JSONFieldError) -> [Integer] {
        try array(name, of: "whole numbers") { Self.integer($0) }
    }

    /// Numbers; not a number (NaN) for null.
    package func floats(_ name: String) throws(JSONFieldError) -> [Float] {
        try array(name, of: "numbers") { $0.isNull ? .nan : $0.double.map { Float($0) } }
    }

    package func fields(_ name: String) throws(JSONFieldError) -> JSONFields {
        guard let value = members[name] else { throw JSONFieldError(description: "'\(name)' is missing") }
        return try JSONFields(value)
    }

    /// The objects of an array.
    package func list(_ name: String) throws(JSONFieldError) -> [JSONFields] {
        try array(name, of: "objects") { try? JSONFields($0) }
    }

    private func value<Value>(
        _ name: String, _ kind: String, _ read: (JSONValue) -> Value?
    ) throws(JSONFieldError) -> Value {
        guard let value = members[name] else { throw JSONFieldError(description: "'\(name)' is missing") }
        guard let result = read(value) else {
            throw JSONFieldError(description: "'\(name)' should be \(kind), not \(value.kindName)")
        }
        return result
    }

    /// Numbers above those of Int are read as Double, exact only when they are round.
    private static func integer<Integer: FixedWidthInteger>(_ value: JSONValue) -> Integer? {
        value.int.flatMap { Integer(exactly: $0) } ?? value.double.flatMap { Integer(exactly: $0) }
    }
}
