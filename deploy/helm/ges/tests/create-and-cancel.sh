# Books the first free place within a week and cancels it: nobody is called.
ask() { curl --fail-with-body --silent --show-error --max-time 20 -H "X-API-Key: $KEY" -H 'Content-Type: application/json' "$@"; }
free=$(ask "$BASE/engagement/v3/callbacks/availability/$SERVICE?numberOfDays=7&maxTimeSlots=2")
time=$(echo "$free" | grep -o '"utcTime":"[^"]*"' | tail -n 1 | cut -d '"' -f 4)
[ -n "$time" ] || { echo "no free place of $SERVICE within a week: $free"; exit 1; }
booked=$(ask --data "{\"serviceName\":\"$SERVICE\",\"phoneNumber\":\"$NUMBER\",\"desiredTime\":\"$time\"}" "$BASE/engagement/v3/callbacks/create")
id=$(echo "$booked" | grep -o '"id":"[^"]*"' | head -n 1 | cut -d '"' -f 4)
[ -n "$id" ] || { echo "not booked: $booked"; exit 1; }
echo "booked $id at $time"
ask --data "{\"id\":\"$id\"}" "$BASE/engagement/v3/callbacks/cancel"
ask --data "{\"id\":\"$id\"}" "$BASE/engagement/v3/callbacks/retrieve" | grep -o '"callbackState":"COMPLETED"'
