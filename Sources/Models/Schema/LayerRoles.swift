/// The matrices of a layer, as they are packed: those that one product uses together as one.
package enum MatrixGroup: Int, CaseIterable, Sendable {
    case queryKeyValue, output, gateUp, down
    /// What chooses among experts.
    case router
}

/// The norms of a layer, by what they normalise.
package enum NormRole: Int, CaseIterable, Sendable {
    case attentionInput
    /// Normalises queries: every head by itself, or all heads at once where its weight is as wide.
    case query
    /// Normalises keys likewise.
    case key
    /// Normalises what attention adds to the residual stream.
    case attentionOutput
    case feedForwardInput
    /// Normalises what the feed-forward network adds to the residual stream.
    case feedForwardOutput
}

/// One value for each case of a role.
package struct RoleTable<Role: CaseIterable & RawRepresentable<Int>, Value> {
    private let values: [Value]

    package init<Failure: Error>(_ value: (Role) throws(Failure) -> Value) throws(Failure) {
        // Raw values count the cases from 0.
        values = try Role.allCases.map { role throws(Failure) -> Value in try value(role) }
    }

    package subscript(role: Role) -> Value { values[role.rawValue] }
}

extension RoleTable: Sendable where Value: Sendable {}
