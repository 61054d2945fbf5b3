using System.Diagnostics;
using System.Numerics;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>Counts latencies in buckets that are at most half a percent wide, so that noting one costs nothing that would show.</summary>
internal sealed class LatencyHistogram
{
    private const int SubBucketBits = 8;
    private const int SubBuckets = 1 << SubBucketBits;

    private readonly long[] _counts = new long[(64 - SubBucketBits + 1) * SubBuckets];
    private long _total;

    /// <param name="ticks">A difference of <see cref="Stopwatch"/> timestamps.</param>
    public void Note(long ticks)
    {
        _counts[GetIndex(ticks)]++;
        _total++;
    }

    public void Add(LatencyHistogram other)
    {
        _total += other._total;
        for (var i = 0; i < _counts.Length; i++)
        {
            _counts[i] += other._counts[i];
        }
    }

    /// <returns>Microseconds.</returns>
    public double GetPercentile(double fraction)
    {
        var rank = (long)Math.Ceiling(_total * fraction);
        long seen = 0;
        for (var i = 0; i < _counts.Length; i++)
        {
            seen += _counts[i];
            if (seen >= rank)
            {
                return GetValue(i) * 1_000_000.0 / Stopwatch.Frequency;
            }
        }

        return double.NaN;
    }

    private static int GetIndex(long ticks)
    {
        var shift = Math.Max(0, BitOperations.Log2((ulong)ticks | 1) - SubBucketBits);
        return (shift * SubBuckets) + (int)(ticks >> shift);
    }

    // The inverse: from SubBuckets on, the quotient is the shift and the rest, again at least SubBuckets, the leading bits.
    private static long GetValue(int index)
    {
        var shift = Math.Max(0, (index / SubBuckets) - 1);
        return (long)(index - (shift * SubBuckets)) << shift;
    }
}
