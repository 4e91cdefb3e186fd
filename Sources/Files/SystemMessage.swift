import Glibc

/// The text of `errno`.
package func systemMessage() -> String { String(cString: strerror(errno)) }
