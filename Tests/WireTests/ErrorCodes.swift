import Wire

/// The code with which a message is refused; nil where it is not, or something else is wrong.
func code(_ body: () throws -> Any) -> WireError.Code? {
    do {
        _ = try body()
        return nil
    } catch {
        return (error as? WireError)?.code
    }
}
