namespace GracefulConnections.Pipeline;

/// <summary>Looks through an exception and those that it holds.</summary>
internal static class ExceptionChain
{
    /// <summary>
    /// Returns whether the exception, or one that it holds as its cause or as one of several, is what is looked for.
    /// </summary>
    public static bool Contains(Exception exception, Func<Exception, bool> isMatch)
    {
        for (var current = exception; current is not null; current = current.InnerException)
        {
            if (isMatch(current))
            {
                return true;
            }

            if (current is AggregateException aggregate)
            {
                return aggregate.InnerExceptions.Any(inner => Contains(inner, isMatch));
            }
        }

        return false;
    }

    /// <summary>Returns whether the exception is a <typeparamref name="T"/>, or nothing but several of them.</summary>
    public static bool IsOrHolds<T>(Exception exception)
        where T : Exception =>
        exception is T
        || (exception is AggregateException { InnerExceptions: { Count: > 0 } all } && all.All(IsOrHolds<T>));
}
