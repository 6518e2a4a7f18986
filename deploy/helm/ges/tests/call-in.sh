# Asks for a number to dial; the request ends by itself when its time is over.
answer=$(curl --fail-with-body --silent --show-error --max-time 20 -H "X-API-Key: $KEY" -H 'Content-Type: application/json' \
    --data "{\"groupName\":\"$GROUP\",\"fromPhoneNumber\":\"$NUMBER\"}" "$BASE/engagement/v3/call-in/requests/create")
# The access code is the customer's alone.
echo "$answer" | sed 's/"accessCode":[0-9]*/"accessCode":…/'
echo "$answer" | grep -qE '"toPhoneNumber":"[^"]+"'
